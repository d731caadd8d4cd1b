/* xs_log.h - the file that the store comes back from: a recorder whose records outlive the process.
 *
 * RUNTIME/store.log holds a snapshot and then one record for each change since. A change's reply leaves after its record
 * was written, so what a client was told is in the file; a record torn by a death is the last one, its reply never left,
 * and it is dropped. When the log has grown, a fresh snapshot is written beside it and renamed over it. Nothing is synced:
 * the host's end is the end of everything that is described here.
 * Owns: the file's descriptor. Threads: one. Errors of append: -ENOSPC, -EIO; the file is then as before.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_STORE_XS_LOG_H
#define BULKHEAD_XENSTORE_GLUE_STORE_XS_LOG_H

#include "xenstore-glue/store/xs_store.h"

#define XS_LOG_NAME "store.log"

struct xs_log;

/* Opens the log in the directory dirfd (kept open by the caller), loads it into st if there is one, begins one if not, and
 * becomes st's recorder. *dropped: bytes of a torn end. 0; -EBADMSG: the file is no log of ours or contradicts itself;
 * -ENOMEM, -EIO and others of open(2). */
int xs_log_open(struct xs_log **out, int dirfd, struct xs_store *st, uint64_t *dropped);
/* Starts over with a snapshot if the log has grown enough. Call between changes. A failure is kept for later: the old
 * log goes on. 1 compacted, 0 no need, or a negative errno. */
int xs_log_tidy(struct xs_log *log);
uint64_t xs_log_size(const struct xs_log *log);
void xs_log_close(struct xs_log *log); /* NULL is allowed */

#endif
