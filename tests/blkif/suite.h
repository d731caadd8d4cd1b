/* suite.h - what the cases of the blkif suite are made of: one disk's frontend, every word of which a case may get wrong.
 *
 * A case runs in a process of its own, which the suite forks and which owns its connection: so what a case leaves behind is what
 * a guest that dies leaves behind. Whatever ends a case (case_ends() and the like) ends that process. The parent meanwhile works
 * on another disk, the canary, and afterwards connects the first one again.
 */
#ifndef BULKHEAD_TESTS_BLKIF_SUITE_H
#define BULKHEAD_TESTS_BLKIF_SUITE_H

#include "ring/base/barrier.h"
#include "ring/base/base.h"
#include "ring/hv/hv.h"
#include "ring/os/clock.h"
#include "ring/proto/blkif_abi.h"
#include "xenstore-glue/bus/xenbus.h"
#include "xenstore-glue/client/xs_sync.h"

#include <stdbool.h>
#include <stdio.h>

/* ---- the run */

struct suite {
	const char *provider, *runtime_dir, *domain;
	bool writable, strict; /* strict: --expect bulkhead */
	unsigned seed;
	uint64_t patience; /* ns: an answer takes no longer; what has not answered by then is silent */
};
extern struct suite suite;

enum verdict { V_NONE, V_OK, V_FAILED, V_NA };

/* In memory that the case's process and the suite share. */
struct result {
	enum verdict verdict;
	char outcome[200]; /* what the backend did, as words joined by '+' */
	char why[300];
};
extern struct result *result;

/* The ends of a case. */
void NORETURN case_fails(const char *fmt, ...) PRINTF_LIKE(1, 2);
void NORETURN case_is_na(const char *fmt, ...) PRINTF_LIKE(1, 2);
void NORETURN case_ends(void);
/* Appends a word to the outcome, unless it is there already. */
void did(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* For what is the suite's own trouble: the store is away, no memory. */
void need(int rc, const char *what);

/* ---- the frontend */

#define DATA_MAX 256u
#define LIST_PAGES 8u
#define SPECIALS 2u /* RO and FOREIGN, behind the lists */
#define ENTRIES_MAX 1024u
#define BOGUS 0x00beef00u /* no grant at all */

union request {
	struct blkif_request rw;
	struct blkif_request_indirect ind;
	struct blkif_request_discard dis;
	uint8_t byte[112];
	uint64_t word[14];
};
static_assert(sizeof(union request) == sizeof(struct blkif_request), "a request's size");

struct queue {
	struct hv_port *port;
	uint8_t *ring;
	hv_gref_t gref[HV_RING_PAGES_MAX];
	uint32_t entries, prod, cons;
};

struct offer { /* the backend's features and properties; 0 where there is no key */
	uint64_t sectors;
	uint64_t flush, barrier, discard, secure, persistent, max_indirect, max_order, max_pages, max_queues, sector_size,
		physical_size, info, granularity, alignment;
};

/* How to connect. Zero: the 64-bit layout, one queue, one page, no persistent grants. */
struct want {
	const char *protocol; /* NULL: x86_64-abi */
	bool no_protocol;     /* no key for it */
	unsigned order, queues;
	bool old_key;	  /* num-ring-pages says how many, not ring-page-order */
	bool persistent;
	bool ring_ro;
	unsigned data; /* pages of data; 0: 16 */
	/* One of the frontend's keys, replaced; without a value left out. */
	const char *key, *val;
};

struct disk {
	struct hv *hv;
	struct loop *loop;
	struct xsc *xs;
	char front[128], back[128];
	hv_domid_t back_id;
	struct offer offer;
	struct want want;
	const struct blkif_abi *abi;
	unsigned nqueues, ndata;
	struct queue q[CONN_QUEUES_MAX];
	uint8_t *data; /* ndata pages, LIST_PAGES, SPECIALS */
	hv_gref_t gref[DATA_MAX + LIST_PAGES + SPECIALS];
	uint64_t id;
	unsigned seed;
};

/* Joins the domain and its store; front: its directory. Nothing is connected yet. */
void disk_open(struct disk *d, const char *front);
/* Both ends to where a connection begins (1 and 2), from wherever they are. False after the patience: back_state() says what. */
bool disk_reset(struct disk *d);
/* Pages, grants, ports. */
void disk_make(struct disk *d, const struct want *w);
/* The keys of disk_make's, and state 3; write_keys: without the state. */
void disk_write_keys(struct disk *d, const struct want *w);
void disk_ask(struct disk *d, const struct want *w);
/* All of these, until the backend is connected, and state 4. Fails the case when it does not. */
void disk_connect(struct disk *d, const struct want *w);
/* 5, 6; true when the backend has followed to 6. */
bool disk_close(struct disk *d);
/* Ends all grants and ports, once the backend is 6: false when the backend still has one mapped. */
bool disk_release(struct disk *d);

void set_state(struct disk *d, unsigned s);
void set_key(struct disk *d, const char *key, const char *val); /* val NULL: removes it */
unsigned back_state(struct disk *d);
unsigned front_state(struct disk *d);
/* Waits for one of these states of the backend (a bit for each). */
bool back_gets(struct disk *d, unsigned states, uint64_t ns);
/* The number in a key of the backend's directory; 0 when there is none. */
uint64_t back_number(struct disk *d, const char *key);
bool back_has_error(struct disk *d);
const char *in_dir(const char *dir, const char *key); /* one of four static buffers */
void nap_us(unsigned us);
unsigned chance(struct disk *d, unsigned n);

static inline unsigned ro_page(const struct disk *d) { return d->ndata + LIST_PAGES; }
static inline unsigned foreign_page(const struct disk *d) { return ro_page(d) + 1; }
static inline uint8_t *page(const struct disk *d, unsigned n) { return d->data + n * BH_PAGE_SIZE; }
static inline struct blkif_request_segment *list_of(const struct disk *d) { return (void *)page(d, d->ndata); }

/* ---- the ring */

enum got { GOT_OKAY, GOT_ERROR, GOT_EOPNOTSUPP, GOT_CLOSED, GOT_STOPPED, GOT_SILENT, GOT_OTHER };
#define BIT(n) (1u << (n))
/* The device ended, in one of the ways that it may. */
#define ENDS (BIT(GOT_CLOSED) | BIT(GOT_STOPPED) | BIT(GOT_SILENT))
extern const char *const got_name[];

uint32_t *ring_word(const struct queue *q, unsigned n); /* 0 req_prod, 1 req_event, 2 rsp_prod, 3 rsp_event */
uint8_t *ring_slot(const struct disk *d, const struct queue *q, uint32_t index);
/* A request in the native layout into the next slot, unseen by the backend yet. */
void put(struct disk *d, struct queue *q, const union request *r);
void show(struct queue *q); /* publishes and always notifies */
/* Waits for n answers more; GOT_OKAY, or how the device ended. They are taken by take(). Fails the case when there are more
 * answers than requests. */
enum got wait_answers(struct disk *d, struct queue *q, unsigned n);
struct blkif_response take(struct disk *d, struct queue *q);
enum got got_of(const struct blkif_response *r);
/* One request with an id of its own, answered: fails the case when the id is another's. */
enum got ask(struct disk *d, union request *r);
/* The same, and what became of it must be one of these (a bit for each); it becomes a word of the outcome. When the device has
 * ended, the case ends. what and n name the request. */
enum got allow(struct disk *d, union request *r, unsigned allowed, const char *what, unsigned long long n);
/* For an answer or an end that was seen otherwise. */
enum got judge(enum got got, unsigned allowed, const char *what, unsigned long long n);

/* Direct: nsegs whole pages from data page 0; indirect: the list is written, pages repeat. */
union request direct(const struct disk *d, uint8_t op, unsigned nsegs, uint64_t sector);
union request indirect(const struct disk *d, uint8_t op, unsigned nsegs, uint64_t sector);
union request discard(uint64_t sector, uint64_t sectors);

/* A write (when it may) and a read at sector 8, verified; the outcome of a device that is as it should be. */
enum got good_io(struct disk *d, struct queue *q);
/* The end of most cases: good_io() on every queue and the word "served", or the way in which the device has ended. */
void NORETURN still_served(struct disk *d);
/* The device must have ended, without closing or with. */
void NORETURN must_have_ended(struct disk *d, unsigned allowed);

/* ---- the cases */

enum needs {
	NEED_WRITABLE = 1 << 0,
	NEED_INDIRECT = 1 << 1,
	NEED_FLUSH = 1 << 2,
	NEED_BARRIER = 1 << 3,
	NEED_DISCARD = 1 << 4,
	NEED_SECURE = 1 << 5,
	NEED_512 = 1 << 6,  /* logical sectors of 512 */
	NEED_LARGE = 1 << 7, /* larger ones */
	NEED_READ_ONLY = 1 << 8,
	NEED_RING_2 = 1 << 9, /* rings of two pages */
	NEED_QUEUE_2 = 1 << 10,
	NEED_DESTROY = 1 << 11, /* --destroy: the device is gone afterwards */
	NEED_OLD_PAGES = 1 << 12, /* max-ring-pages */
	DEAD_AFTER = 1 << 13,	  /* the process kills itself */
};

struct test {
	const char *name;
	const char *says; /* what the protocol or common sense says */
	const char *ours; /* what our backend does; "a|b": either */
	unsigned needs;
	struct want want;
	bool bare; /* begins before the connection is made */
	void (*run)(struct disk *d);
};
struct topic {
	const struct test *test;
	size_t n;
};
extern const struct topic topic_state, topic_setup, topic_io, topic_feature, topic_request, topic_grant, topic_ring;

#endif
