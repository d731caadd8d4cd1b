/* conform_hv.h - the contract of hv.h as tests, run on every provider.
 *
 * A provider gives one struct conform_hv. Handles are opened in the test's own process; what needs the end of a process
 * asks for kill(), which makes all that a process had through hv end as its death would, and frees the handle.
 */
#ifndef BULKHEAD_TESTS_CONFORM_CONFORM_HV_H
#define BULKHEAD_TESTS_CONFORM_CONFORM_HV_H

#include "ring/hv/hv.h"

struct conform_hv {
	const char *name;
	bool threads;	/* may be called from several threads */
	bool real_fds;	/* hv_port_fd() can be polled; where it is -1, and without, pending() is asked */
	bool shared;	/* a running system's own domain, that cannot end nor have another beside it; its numbers are used by others too */
	void *(*begin)(void); /* an empty world; ctx of the others */
	void (*end)(void *ctx);
	hv_domid_t (*domain)(void *ctx, const char *name);
	void (*destroy)(void *ctx, hv_domid_t dom);
	int (*open)(void *ctx, const struct hv_open *o, struct hv **out);
	void (*kill)(void *ctx, struct hv *hv);
	bool (*pending)(void *ctx, const struct hv_port *p);
	/* NULL: the frontend's memory is the test's own. Else its addresses mean something elsewhere. */
	char (*peek)(const char *at);
	void (*fill)(char *at, char byte, size_t n);
	struct hv_usage (*total)(void *ctx, hv_domid_t dom); /* granted and ports that the provider still keeps of dom; NULL if shared */
};

/* Runs the whole suite; the number of failed tests. */
int conform_hv_run(const struct conform_hv *p);

#endif
