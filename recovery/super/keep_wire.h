/* keep_wire.h - the keeper's one protocol: named descriptors that must outlive the supervisor (DESIGN.md section 3).
 *
 * SOCK_SEQPACKET at RUNTIME/keep.sock, owner only. One request, one reply, in order. The keeper looks at names for
 * equality only and at descriptors not at all.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_KEEP_WIRE_H
#define BULKHEAD_RECOVERY_SUPER_KEEP_WIRE_H

#include <stdint.h>

#define KEEP_SOCK "keep.sock"
#define KEEP_NAME_MAX 96
#define KEEP_FDS_MAX 72	     /* of one name: two ports of each of 16 queues, and one more */
#define KEEP_NAMES_MAX 4096

enum keep_op {
	KEEP_PUT = 1, /* name, fds: holds dups; replaces what the name held */
	KEEP_GET,     /* name; reply: fds (the keeper keeps its own) or -ENOENT */
	KEEP_DROP,    /* name: closes; 0 also when there was none */
	KEEP_LIST,    /* arg = how many names to skip; reply: arg = names in all, name = the next, -ENOENT at the end */
	KEEP_STOP,    /* ends the keeper and its services in order: SIGTERM, then SIGKILL */
};

struct keep_msg {
	uint32_t op;
	int32_t rc;   /* reply */
	uint64_t arg;
	char name[KEEP_NAME_MAX];
};

#endif
