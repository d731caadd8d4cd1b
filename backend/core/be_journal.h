/* be_journal.h - a stub's own hold on the journal of one connection: opened by name, mapped whole, locked.
 *
 * The lock belongs to the description that is opened here, which the mapping keeps: the kernel grants it to the next
 * stub exactly when the last thread of this one can store no more (DESIGN.md section 6, "owning it").
 * Lifetime: until the process ends; there is no close. Threads: one.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_JOURNAL_H
#define BULKHEAD_BACKEND_CORE_BE_JOURNAL_H

#include "ring/base/base.h"

#include <sys/types.h>

struct be_journal {
	int fd;
	void *mem;
	size_t bytes;
};

/* A regular file of exactly so many bytes that belongs to us (or to uid, whom we shall become) and that nobody else may
 * write. Mapped and populated; nothing is stored. Negative errno with one clear line in err. */
int be_journal_open(struct be_journal *j, const char *path, uint64_t bytes, uid_t uid, char *err, size_t size);
/* Never waits. 0; -EAGAIN: the former owner can still store; or negative errno. */
int be_journal_lock(struct be_journal *j);

#endif
