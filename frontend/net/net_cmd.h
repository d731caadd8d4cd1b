/* net_cmd.h - the commands of bulkhead-netfront, and what they tell people. One thread; each returns an exit status. */
#ifndef BULKHEAD_FRONTEND_NET_NET_CMD_H
#define BULKHEAD_FRONTEND_NET_NET_CMD_H

#include "frontend/net/net_tap.h"
#include "frontend/net/net_verify.h"

enum { NET_EXIT_FAILED = 1 };

/* Runs net_verify() and prints its books, a "key: value" a line. NET_EXIT_FAILED if a packet was corrupted or an end ended. */
int net_cmd_verify(struct netfront *a, struct netfront *b, const struct net_verify_opts *o);

/* Of tap; the texts are NULL where they are not given. */
struct net_tap_opts {
	const char *netns, *name, *pid_file;
	bool background; /* returns when the tap is there: in a child */
	bool reconnect;	 /* the backend's end is not the tap's */
	bool steer;	 /* net_cmd_steer(), to queue 0; with each SIGUSR2 to the next one */
};
/* Connects, makes the tap, and carries packets until SIGTERM or SIGINT, or the device's end. */
int net_cmd_tap(const struct netfront_open *open, const struct net_tap_opts *o);

/* Asks the backend, by hash mapping, to bring all IP packets to that queue. 0 or negative errno, with a line. */
int net_cmd_steer(struct netfront *f, unsigned queue);

/* Says the line on stderr; NET_EXIT_FAILED. */
int net_cmd_failed(const char *line);

#endif
