/* doctor.h - what a host has and lacks for Bulkhead, point by point.
 *
 * doctor_xen(), doctor_kernel() and doctor_net() go by files below root ("" on a machine, a test's folder otherwise); doctor_world() talks to what
 * runs. Nothing is changed anywhere. One thread.
 */
#ifndef BULKHEAD_RECOVERY_CLI_DOCTOR_H
#define BULKHEAD_RECOVERY_CLI_DOCTOR_H

#include "recovery/cli/cli.h"

#include <stdint.h>

enum doctor_verdict { DOCTOR_OK, DOCTOR_MISSING, DOCTOR_UNKNOWN, DOCTOR_VERDICTS };
const char *doctor_verdict_name(enum doctor_verdict v);

struct doctor_point {
	const char *name;
	enum doctor_verdict verdict;
	bool needed;	/* when it is missing, Bulkhead does not work here, or not safely */
	char text[200]; /* what is so */
	char todo[240]; /* "": nothing */
};

#define DOCTOR_POINTS_MAX 32u
struct doctor {
	const char *root;
	uint32_t uid_base; /* 0: stubs run as root */
	unsigned n;
	struct doctor_point point[DOCTOR_POINTS_MAX];
};

/* Adds a point; text as printf. Its address, for todo. */
struct doctor_point *doctor_say(struct doctor *d, const char *name, enum doctor_verdict v, bool needed, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
/* The first line of a file below root, without its end; "" if there is none. Returns text. */
const char *doctor_read(const struct doctor *d, const char *path, char *text, size_t size);
bool doctor_has(const struct doctor *d, const char *path);

/* Xen: hypervisor, devices, xenfs, xen-blkback, limits. */
void doctor_xen(struct doctor *d);
/* Linux: what stubs are made of and confined by. */
void doctor_kernel(struct doctor *d);
/* What network interfaces need; none of it is needed where there are disks only. */
void doctor_net(struct doctor *d);
/* xenstore and libxenctrl (xen), programs, keeper and supervisor of c's runtime directory. */
void doctor_world(struct doctor *d, const struct cli *c, bool xen);

/* Nothing that is needed is missing. */
bool doctor_fine(const struct doctor *d);

#endif
