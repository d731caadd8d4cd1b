/* hv_far.h - a frontend in another domain (hv_agent.c) as a struct hv of this one: calls go by its console, one line each. */
#ifndef BULKHEAD_TESTS_XEN_HV_FAR_H
#define BULKHEAD_TESTS_XEN_HV_FAR_H

#include "ring/hv/hv_ops.h"

/* tty: the console's, as xenstore names it. 0 or a negative errno. */
int hv_far_connect(const char *tty);
int hv_far_open(const struct hv_open *o, struct hv **out);
char hv_far_peek(const char *at);
void hv_far_fill(char *at, char byte, size_t n);
bool hv_far_pending(const struct hv_port *p);
/* Tells the agent to end. */
void hv_far_end(void);

#endif
