/* net_cmd.h - what bulkhead-netfront tells people. */
#ifndef BULKHEAD_FRONTEND_NET_NET_CMD_H
#define BULKHEAD_FRONTEND_NET_NET_CMD_H

#include "frontend/net/net_verify.h"

enum { NET_EXIT_FAILED = 1 };

/* Runs net_verify() and prints its books, a "key: value" a line. NET_EXIT_FAILED if a packet was corrupted or an end ended. */
int net_cmd_verify(struct netfront *a, struct netfront *b, const struct net_verify_opts *o);

#endif
