#include "tests/chaos/recorder.h"

#include "ring/base/check.h"
#include "ring/base/conn.h"
#include "ring/os/clock.h"
#include "tests/chaos/lived.h"

#include <stdlib.h>

#define WAITING_MAX 1024u  /* more than a ring holds */
#define PAST	    65536u /* entries kept; a power of two */

enum what { ASKED, ANSWERED };

struct entry {
	uint64_t at, lived, index, id, sector;
	uint32_t nsect;
	int op, status;
	uint8_t queue, what;
};

struct queue {
	uint64_t next_req, next_rsp;
	unsigned n;
	struct entry waiting[WAITING_MAX];
};

struct recorder {
	struct blkfront_observer observer;
	struct recorder_count count;
	struct queue queue[CONN_QUEUES_MAX];
	uint64_t last_answer; /* lived */
	uint64_t npast, faulty_at; /* entries ever made; how many they were at the first fault, or 0 */
	struct entry past[PAST];
};

static void keep(struct recorder *r, const struct entry *e)
{
	r->past[r->npast++ % PAST] = *e;
}

static void fault(struct recorder *r, uint64_t *count)
{
	++*count;
	if (!r->faulty_at)
		r->faulty_at = r->npast;
}

static void check_index(struct recorder *r, uint64_t index, uint64_t *next)
{
	if (index != *next)
		fault(r, &r->count.disorder);
	*next = index + 1;
}

static void submitted(void *arg, unsigned queue, uint64_t index, uint64_t id, int op, uint64_t sector, uint32_t nsect)
{
	struct recorder *r = (struct recorder *)arg;
	struct queue *q = &r->queue[queue];
	struct entry e = {.at = clock_now(), .lived = lived_now(), .index = index, .id = id, .sector = sector, .nsect = nsect,
			  .op = op, .queue = (uint8_t)queue, .what = ASKED};

	CHECK(q->n < WAITING_MAX);
	keep(r, &e);
	r->count.requests++;
	check_index(r, index, &q->next_req);
	q->waiting[q->n++] = e;
}

static bool was_answered(const struct recorder *r, unsigned queue, uint64_t id)
{
	for (uint64_t i = 0; i < r->npast && i < PAST; i++) {
		const struct entry *e = &r->past[i];

		if (e->what == ANSWERED && e->queue == queue && e->id == id)
			return true;
	}
	return false;
}

static struct entry *find(struct queue *q, uint64_t id)
{
	for (unsigned i = 0; i < q->n; i++)
		if (q->waiting[i].id == id)
			return &q->waiting[i];
	return NULL;
}

static void note_gap(struct recorder *r, const struct entry *asked)
{
	uint64_t now = lived_now();

	r->count.gap_ns = MAX(r->count.gap_ns, now - MAX(asked->lived, r->last_answer));
	r->last_answer = now;
}

static void answered(void *arg, unsigned queue, uint64_t index, uint64_t id, int op, int status)
{
	struct recorder *r = (struct recorder *)arg;
	struct queue *q = &r->queue[queue];
	struct entry *asked = find(q, id);
	bool again = !asked && was_answered(r, queue, id);
	struct entry e = {.at = clock_now(), .index = index, .id = id, .op = op, .status = status, .queue = (uint8_t)queue,
			  .what = ANSWERED};

	keep(r, &e);
	r->count.answers++;
	check_index(r, index, &q->next_rsp);
	if (!asked) {
		fault(r, again ? &r->count.repeated : &r->count.invented);
		return;
	}
	if (asked->op != op)
		fault(r, &r->count.wrong_op);
	if (status)
		fault(r, &r->count.errors);
	note_gap(r, asked);
	*asked = q->waiting[--q->n];
}

struct recorder *recorder_open(void)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (r)
		r->observer = (struct blkfront_observer){submitted, answered, r};
	return r;
}

const struct blkfront_observer *recorder_observer(const struct recorder *r) { return &r->observer; }

void recorder_settle(struct recorder *r)
{
	for (unsigned i = 0; i < CONN_QUEUES_MAX; i++) {
		struct queue *q = &r->queue[i];

		for (; q->n > 0; q->n--)
			fault(r, &r->count.missing);
		q->next_req = q->next_rsp = 0;
	}
}

const struct recorder_count *recorder_get(const struct recorder *r) { return &r->count; }

uint64_t recorder_faults(const struct recorder *r)
{
	const struct recorder_count *c = &r->count;

	return c->errors + c->missing + c->repeated + c->invented + c->wrong_op + c->disorder;
}

void recorder_print(const struct recorder *r, unsigned n, FILE *to)
{
	uint64_t end = r->faulty_at ? r->faulty_at : r->npast, kept = r->npast - (r->npast < PAST ? r->npast : PAST);
	uint64_t from = end > n ? end - n : 0;

	for (uint64_t i = from > kept ? from : kept; i < end; i++) {
		const struct entry *e = &r->past[i % PAST];

		fprintf(to, "%llu.%06llu queue %u %s index %llu id %#llx op %d ", (unsigned long long)(e->at / NS_PER_S),
			(unsigned long long)(e->at % NS_PER_S / NS_PER_US), e->queue, e->what == ASKED ? "asked   " : "answered",
			(unsigned long long)e->index, (unsigned long long)e->id, e->op);
		if (e->what == ASKED)
			fprintf(to, "sector %llu + %u\n", (unsigned long long)e->sector, e->nsect);
		else
			fprintf(to, "status %d\n", e->status);
	}
}

void recorder_close(struct recorder *r) { free(r); }
