/* njrnl_replay.h - what a vif's journal means after a death. Pure: looks, stores nothing; all of it is foreign input. Threads: any. */
#ifndef BULKHEAD_RECOVERY_JOURNAL_NJRNL_REPLAY_H
#define BULKHEAD_RECOVERY_JOURNAL_NJRNL_REPLAY_H

#include "recovery/journal/njrnl.h"

struct njrnl_scan {
	/* TX: answers from rsp_prod to sent stand in the ring; entries from sent to req_cons are taken, whole packets as long as the
	 * decoder agrees. */
	uint64_t rsp_prod, sent, req_cons;
	/* RX: packets by their sequence numbers, over <= placed <= filled <= next. */
	uint64_t rx_prod, rx_cons; /* rx_cons: behind the last request that a packet has */
	uint64_t over;		   /* from here to placed: delivered, to be stored FREE */
	uint64_t placed;	   /* to filled: PLACED and not delivered */
	uint64_t filled;	   /* to next: FILLED */
	uint64_t next;		   /* of the next packet */
	bool reading;		   /* that one may have been read */
};

/* One queue of rings of nr entries. 0; -EBADMSG with a line in err: corrupt. */
int njrnl_scan(const struct njrnl_q *q, struct njrnl_scan *out, char *err, size_t size);
/* The control ring's words: *taken: its request in the journal is not answered yet. As njrnl_scan(). */
int njrnl_scan_ctrl(const struct njrnl *j, uint64_t *prod, bool *taken, char *err, size_t size);

#endif
