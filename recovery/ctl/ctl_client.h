/* ctl_client.h - asking the supervisor, for tools: blocking, with a deadline of 10 seconds. One thread. */
#ifndef BULKHEAD_RECOVERY_CTL_CTL_CLIENT_H
#define BULKHEAD_RECOVERY_CTL_CTL_CLIENT_H

#include "recovery/ctl/ctl_wire.h"

#include <stddef.h>

/* Sends req, receives the reply. The open socket (for what follows the reply), or a negative errno with no socket;
 * reply->rc is not looked at. */
int ctl_client_ask(const char *runtime_dir, const struct ctl_req *req, struct ctl_reply *reply);
/* A status of the devices that match (CTL_ALL: any); *devs is malloc()ed. How many, or negative errno. */
int ctl_client_status(const char *runtime_dir, uint32_t domid, uint32_t devid, struct ctl_dev **devs);
/* KILL, RESTART, RESET. 0, or a negative errno with the supervisor's line in err. */
int ctl_client_act(const char *runtime_dir, enum ctl_op op, uint32_t domid, uint32_t devid, uint64_t arg, char *err,
		   size_t size);
/* Calls fn for each event until it returns non-zero (returned) or the supervisor ends (-ECONNRESET). past: how many of
 * the former ones come first. Waits for the next one for ever. */
int ctl_client_events(const char *runtime_dir, unsigned past, int (*fn)(const struct ctl_event *e, void *arg), void *arg);

#endif
