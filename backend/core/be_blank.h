/* be_blank.h - a stub that was started before anybody knew for which device (ring/os/stub_wire.h, STUB_BLANK_ARG).
 *
 * Threads: one. Errors: negative errno; the process is then of no use.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_BLANK_H
#define BULKHEAD_BACKEND_CORE_BE_BLANK_H

#include "ring/os/stub_wire.h"

struct be_blank {
	struct stub_adopt given;
	int fd[STUB_ADOPT_FDS]; /* [0]: the record's; they stand for given.number[] */
};

/* Says that it is there and waits until it is told what it is for, or its supervisor has gone. name: its process's, while it serves. */
int be_blank_wait(const char *name, struct be_blank *b);
/* Puts the numbers that the descriptors have here into the record. -EINVAL: one is named that was not given. */
int be_blank_renumber(const struct be_blank *b, struct stub_start *s);

#endif
