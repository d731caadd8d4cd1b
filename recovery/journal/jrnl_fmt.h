/* jrnl_fmt.h - the journal's layout in memory (DESIGN.md section 6).
 *
 * One file on tmpfs for one connection of one device, allocated whole. Host-endian: it never leaves its host, and ends
 * with it. A successor treats all of it as foreign input: same decoder, same bounds.
 *
 *   struct jrnl_hdr                         one page
 *   per queue: struct jrnl_queue            one page
 *              struct jrnl_slot[nslots]     one for each entry of the ring
 *              struct jrnl_list[nslots]     indirect lists
 *
 * Written only through ring/base/pm.h, only by the generation that holds the exclusive OFD lock on the file.
 */
#ifndef BULKHEAD_RECOVERY_JOURNAL_JRNL_FMT_H
#define BULKHEAD_RECOVERY_JOURNAL_JRNL_FMT_H

#include "ring/base/base.h"
#include "ring/base/conn.h"

#define JRNL_MAGIC 0x314c4e524a484c42ull /* "BLHJRNL1" */
#define JRNL_VERSION 3u
#define JRNL_VALID 0x600d600du
#define JRNL_SLOTS_MAX 512u  /* of a queue: 16 pages of 112-byte entries */
#define JRNL_RAW 112u	     /* the largest blkif request (x86_64) */
#define JRNL_SEGS_MAX 256u   /* segments of an indirect request */
#define JRNL_HIST 64u	     /* latency histogram: bucket i counts answers that took [2^(i/2), 2^((i+1)/2)) microseconds:
				bucket 2n starts at 2^n us, bucket 2n+1 at 1.5 * 2^n us */

/* Far apart, so that no flipped bit turns one into another. */
enum jrnl_state {
	JRNL_FREE = 0x00000000,
	JRNL_TAKEN = 0x54414b45,   /* copied from the ring */
	JRNL_LOADED = 0x4c4f4144,  /* judged; its list is here */
	JRNL_STARTED = 0x53545254, /* may have reached the storage */
	JRNL_DONE = 0x444f4e45,	   /* its answer is here, perhaps not yet published */
};

struct jrnl_hdr {
	uint64_t magic;
	uint32_t version, nslots;  /* slots of each queue */
	uint64_t size;		   /* of the file */
	struct conn_id conn;
	uint32_t check;		   /* over all above */
	uint32_t valid;		   /* JRNL_VALID, stored last of all */
	uint64_t generation;	   /* JRNL_GENERATION() of the present owner: its first store */
	uint32_t flush_failed;	   /* 0, or JRNL_FLUSH_FAILED: every FLUSH and BARRIER fails until reconnect */
	uint32_t pad;
};

/* Words that are stored alone carry their own check: the complement beside the value. */
#define JRNL_FLUSH_FAILED 0x46464c53u
#define JRNL_GENERATION(g) ((uint64_t)(uint32_t)(g) | (uint64_t)(uint32_t)~(g) << 32)
#define JRNL_GENERATION_OF(w) ((uint64_t)(uint32_t)(w))

/* blame: one word, so that it is stored whole: how often the request was in work when a stub died by its own fault (8 bits and
 * their complement), and the last generation that had it in work; (0, 0): none yet. */
#define JRNL_BLAME(count, generation) \
	((uint64_t)((count) & 0xffu) << 48 | (uint64_t)(~(count) & 0xffu) << 56 | ((generation) & 0xffffffffffffull))
#define JRNL_BLAME_COUNT(b) ((uint32_t)((b) >> 48 & 0xff))
#define JRNL_BLAME_SOUND(b) (((b) >> 48 & 0xff) == (~(b) >> 56 & 0xff))
#define JRNL_BLAME_GENERATION(b) ((b) & 0xffffffffffffull)

struct jrnl_slot {
	uint32_t state;	      /* enum jrnl_state */
	int32_t result;	      /* BLKIF_RSP_*; valid when DONE */
	uint64_t index;	      /* of the request: 64 bits, the low half is the ring's */
	uint64_t blame;
	uint64_t rsp_idx;     /* of the response: valid when DONE */
	uint32_t check_copy;  /* over index and raw */
	uint32_t check_list;  /* over nlist and the list; valid from LOADED on, when nlist > 0 */
	uint32_t check_answer;/* over result, rsp_idx, index; valid when DONE */
	uint32_t nlist;	      /* segments in the list; 0: no indirect request */
	uint64_t taken_at;    /* monotonic ns, statistics only */
	uint64_t pad;
	uint8_t raw[JRNL_RAW];
	uint8_t pad2[16];
};
static_assert(sizeof(struct jrnl_slot) % 16 == 0 && offsetof(struct jrnl_slot, raw) % 16 == 0 && JRNL_RAW % 16 == 0, "copied by 16");
static_assert(sizeof(struct jrnl_slot) == 192 && offsetof(struct jrnl_slot, raw) == 64, "three cache lines");

struct jrnl_list {
	uint64_t seg[JRNL_SEGS_MAX]; /* struct blkif_request_segment, as copied from the guest */
};

/* Statistics of a queue, by pm_stat64: read by the supervisor with pread, never by recovery. Monotonic over the
 * generations of one connection. */
struct jrnl_stats {
	uint64_t turn;		     /* odd while the worker is awake, even while it sleeps */
	uint64_t engine_outstanding; /* requests in the engine now */
	uint64_t oldest_taken;	     /* taken_at of the oldest request not yet done; 0: none */
	uint64_t requests, errors;   /* answered; answered with another status than OKAY */
	uint64_t reads, writes, flushes, discards;
	uint64_t bytes_read, bytes_written;
	uint64_t events_in, events_out; /* from and to the guest */
	uint64_t peer_faults;	     /* malformed requests */
	uint64_t replayed, reanswered; /* redone and re-published at resumes */
	uint64_t grants_mapped;	     /* now, persistent ones included */
	uint64_t hist[JRNL_HIST];
};

/* A queue's two sequence numbers carry their check in their top byte, since they are stored alone: 2^56 are enough. */
static inline uint64_t jrnl_seq_fold(uint64_t w)
{
	w ^= w >> 32;
	w ^= w >> 16;
	return (w ^ w >> 8) & 0xff;
}
static inline uint64_t jrnl_seq(uint64_t n) { return n | jrnl_seq_fold(n) << 56; }
static inline uint64_t jrnl_seq_of(uint64_t word) { return word & 0xffffffffffffffull; }
static inline int jrnl_seq_sound(uint64_t word) { return jrnl_seq_fold(word) == 0; }

struct jrnl_queue {
	uint64_t req_cons; /* jrnl_seq(): every request below it is in a slot, or done */
	uint64_t rsp_prod; /* jrnl_seq(): every response below it was given to the guest */
	uint64_t pad[6];
	struct jrnl_stats stats;
};

#define JRNL_PAGE 4096u
static_assert(sizeof(struct jrnl_hdr) <= JRNL_PAGE && sizeof(struct jrnl_queue) <= JRNL_PAGE, "a page each");

/* Offsets in the file: pure arithmetic, for those who only pread. */
static inline uint64_t jrnl_queue_bytes(uint32_t nslots)
{
	return JRNL_PAGE + (uint64_t)nslots * (sizeof(struct jrnl_slot) + sizeof(struct jrnl_list));
}
static inline uint64_t jrnl_queue_offset(uint32_t nslots, uint32_t queue)
{
	return JRNL_PAGE + queue * jrnl_queue_bytes(nslots);
}
static inline uint64_t jrnl_file_bytes(uint32_t nslots, uint32_t nqueues)
{
	uint64_t n = jrnl_queue_offset(nslots, nqueues);
	return (n + JRNL_PAGE - 1) & ~(uint64_t)(JRNL_PAGE - 1);
}

#endif
