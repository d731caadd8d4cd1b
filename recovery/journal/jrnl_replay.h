/* jrnl_replay.h - what a queue's slots mean after a death. Pure: looks, stores nothing; the slots are foreign input.
 * Threads: any. */
#ifndef BULKHEAD_RECOVERY_JOURNAL_JRNL_REPLAY_H
#define BULKHEAD_RECOVERY_JOURNAL_JRNL_REPLAY_H

#include "recovery/journal/jrnl.h"

struct jrnl_scan {
	uint32_t nforget, nreanswer, nredo;
	uint16_t forget[JRNL_SLOTS_MAX];   /* over or never taken: to be stored FREE. Already FREE ones are not among them */
	uint16_t reanswer[JRNL_SLOTS_MAX]; /* DONE and not published, in order of rsp_idx: rsp_prod, rsp_prod + 1, ... */
	uint16_t redo[JRNL_SLOTS_MAX];     /* TAKEN, LOADED, STARTED, in order of index */
};

/* 0; -EBADMSG with a line in err: the journal is corrupt and nothing may be answered from it. */
int jrnl_scan(const struct jrnl_q *q, struct jrnl_scan *out, char *err, size_t size);

#endif
