#include "frontend/blk/blk_verify.h"

#include "ring/base/conn.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u
#define WORDS (SECTOR / 8)
#define IO_MAX (256u << 10)
#define UNKNOWN 0u	   /* never written, discarded, or written with an error */
#define ZEROS UINT32_MAX
#define GAPS_MAX 1000000u
#define STAMP_MAGIC 0x42554c4b53544d50ull

struct job {
	struct blkfront_io io;
	struct verify *v;
	struct blkfront_queue *q;
	char *buf;
	uint64_t sector, begun;
	uint32_t nsect, version;
	struct job *next_free;
};

struct verify {
	struct blkfront *f;
	const struct blk_verify_opts *o;
	struct blk_verify_result *res;
	struct blkfront_info info;
	uint64_t nsect, rng, last_answer;
	uint32_t *version; /* of each sector */
	uint8_t *busy;
	uint32_t next_version;
	struct job *jobs, *free;
	unsigned njobs, running;
	uint64_t *gap;
	bool final; /* the last reading of everything */
	uint64_t final_at;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static uint64_t rnd(struct verify *v, uint64_t below)
{
	v->rng = mix(v->rng);
	return v->rng % below;
}

static void stamp(const struct verify *v, uint64_t *w, uint64_t sector, uint32_t version)
{
	uint64_t key = mix(v->o->seed ^ mix(sector) ^ ((uint64_t)version << 32));

	w[0] = STAMP_MAGIC;
	w[1] = v->o->seed;
	w[2] = sector;
	w[3] = version;
	for (unsigned i = 4; i < WORDS; i++)
		w[i] = key += 0x9e3779b97f4a7c15ull;
}

static void check(struct verify *v, const struct job *j)
{
	uint64_t want[WORDS];

	for (uint32_t i = 0; i < j->nsect; i++) {
		uint64_t s = j->sector + i;

		if (v->version[s] == UNKNOWN)
			continue;
		if (v->version[s] == ZEROS)
			memset(want, 0, sizeof(want));
		else
			stamp(v, want, s, v->version[s]);
		v->res->checked++;
		if (memcmp(j->buf + i * SECTOR, want, SECTOR) == 0)
			continue;
		if (v->res->wrong++ == 0)
			v->res->first_wrong = s;
	}
}

static void note_gap(struct verify *v, const struct job *j)
{
	uint64_t now = clock_now(), from = MAX(v->last_answer, j->begun), gap = now > from ? now - from : 0;

	v->last_answer = now;
	v->res->gap_max = MAX(v->res->gap_max, gap);
	if (gap >= v->o->outage_ns) {
		if (v->res->outages < GAPS_MAX)
			v->gap[v->res->outages] = gap;
		v->res->outages++;
	}
}

static void over(struct blkfront_io *io, int rc)
{
	struct job *j = CONTAINER_OF(io, struct job, io);
	struct verify *v = j->v;
	uint32_t becomes = UNKNOWN;

	note_gap(v, j);
	v->res->ios++;
	if (rc) {
		v->res->errors++;
		v->res->rc = v->res->rc ? v->res->rc : rc;
	} else if (io->op == BLKFRONT_READ) {
		v->res->bytes_read += io->len;
		check(v, j);
	} else if (io->op == BLKFRONT_WRITE || io->op == BLKFRONT_ZERO) {
		v->res->bytes_written += io->len;
		becomes = io->op == BLKFRONT_WRITE ? j->version : ZEROS;
	}
	for (uint32_t i = 0; i < j->nsect; i++) {
		v->busy[j->sector + i] = 0;
		if (io->op != BLKFRONT_READ)
			v->version[j->sector + i] = becomes;
	}
	v->running--;
	j->next_free = v->free;
	v->free = j;
}

/* A run of sectors that nothing else touches. False: not now. */
static bool choose_range(struct verify *v, struct job *j)
{
	uint32_t unit = v->info.sector_size / SECTOR;
	uint64_t max = rnd(v, 16) == 0 ? IO_MAX / SECTOR : 64;

	j->sector = rnd(v, v->nsect / unit) * unit;
	j->nsect = (uint32_t)(rnd(v, MAX(max / unit, 1u)) + 1) * unit;
	j->nsect = (uint32_t)MIN(j->nsect, v->nsect - j->sector);
	for (uint32_t i = 0; i < j->nsect; i++) {
		if (v->busy[j->sector + i])
			return false;
	}
	return true;
}

static enum blkfront_op choose_op(struct verify *v)
{
	uint64_t dice = rnd(v, 100);

	if (dice < 40 || v->info.read_only)
		return BLKFRONT_READ;
	if (dice < 44)
		return v->info.flush && !v->o->no_flush ? BLKFRONT_FLUSH : BLKFRONT_READ;
	if (dice < 48)
		return BLKFRONT_ZERO;
	if (dice < 50)
		return v->info.discard && !v->o->no_discard ? BLKFRONT_DISCARD : BLKFRONT_READ;
	return BLKFRONT_WRITE;
}

static bool prepare_final(struct verify *v, struct job *j)
{
	j->io.op = BLKFRONT_READ;
	j->sector = v->final_at;
	j->nsect = (uint32_t)MIN(IO_MAX / SECTOR, v->nsect - v->final_at);
	v->final_at += j->nsect;
	return j->nsect > 0;
}

static bool prepare_random(struct verify *v, struct job *j)
{
	j->io.op = choose_op(v);
	j->nsect = 0;
	if (j->io.op == BLKFRONT_FLUSH)
		return true;
	if (!choose_range(v, j))
		return false;
	j->version = ++v->next_version;
	if (v->info.flush && !v->o->no_flush && j->io.op == BLKFRONT_WRITE && rnd(v, 8) == 0)
		j->io.flags = BLKFRONT_FUA;
	for (uint32_t i = 0; j->io.op == BLKFRONT_WRITE && i < j->nsect; i++) {
		uint64_t w[WORDS];

		stamp(v, w, j->sector + i, j->version);
		memcpy(j->buf + i * SECTOR, w, SECTOR);
	}
	return true;
}

/* Starts one more. False: nothing fits now. */
static bool start_one(struct verify *v)
{
	struct job *j = v->free;
	int rc;

	if (!j)
		return false;
	j->io = (struct blkfront_io){ .done = over };
	if (!(v->final ? prepare_final(v, j) : prepare_random(v, j)))
		return false;
	j->io.off = j->sector * SECTOR;
	j->io.len = (uint64_t)j->nsect * SECTOR;
	j->io.buf = j->buf;
	for (uint32_t i = 0; i < j->nsect; i++)
		v->busy[j->sector + i] = 1;
	v->free = j->next_free;
	v->running++;
	j->begun = clock_now();
	j->q = blkfront_get_queue(v->f, (unsigned)rnd(v, v->info.queues));
	rc = blkfront_submit(j->q, &j->io);
	if (rc)
		over(&j->io, rc);
	return rc == 0;
}

static int poll_all(struct verify *v)
{
	int n = 0;

	for (unsigned i = 0; i < v->info.queues; i++) {
		int rc = blkfront_poll(blkfront_get_queue(v->f, i));

		if (rc < 0)
			return rc;
		n += rc;
	}
	return n;
}

static void sleep_all(struct verify *v)
{
	struct pollfd fds[CONN_QUEUES_MAX];

	for (unsigned i = 0; i < v->info.queues; i++) {
		struct blkfront_queue *q = blkfront_get_queue(v->f, i);

		fds[i] = (struct pollfd){ .fd = blkfront_fd(q), .events = POLLIN };
		if (blkfront_arm(q))
			return;
	}
	poll(fds, v->info.queues, 100);
}

static bool stalled(const struct verify *v)
{
	uint64_t now = clock_now();

	for (unsigned i = 0; i < v->njobs; i++) {
		const struct job *j = &v->jobs[i];
		bool is_free = false;

		for (const struct job *k = v->free; k && !is_free; k = k->next_free)
			is_free = k == j;
		if (!is_free && now > j->begun + v->o->stall_s * NS_PER_S)
			return true;
	}
	return false;
}

/* Until the time is over (or everything was read, in the final pass) and nothing runs. Negative: the device ended. */
static int run(struct verify *v, uint64_t until)
{
	uint64_t look = clock_now() + NS_PER_S;

	for (;;) {
		bool more = v->final ? v->final_at < v->nsect : clock_now() < until;
		int n;

		for (unsigned i = 0; more && i < v->njobs && start_one(v); i++)
			;
		if (!more && v->running == 0)
			return 0;
		n = poll_all(v);
		if (n < 0)
			return n;
		if (n == 0)
			sleep_all(v);
		if (clock_now() > look) {
			look = clock_now() + NS_PER_S;
			v->res->stalled = stalled(v);
			if (v->res->stalled)
				return -ETIMEDOUT;
		}
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void sum_gaps(struct verify *v)
{
	struct blk_verify_result *r = v->res;
	uint64_t n = MIN(r->outages, GAPS_MAX);

	if (n == 0)
		return;
	qsort(v->gap, n, sizeof(*v->gap), by_size);
	r->outage_p50 = v->gap[n / 2];
	r->outage_p99 = v->gap[n * 99 / 100];
}

static int set_up(struct verify *v)
{
	uint64_t limit = v->o->size_limit ? v->o->size_limit : 64u << 20;

	blkfront_get_info(v->f, &v->info);
	limit = MIN(limit, v->info.size);
	v->nsect = limit / v->info.sector_size * (v->info.sector_size / SECTOR);
	if (v->nsect == 0 || v->o->depth == 0)
		return -EINVAL;
	v->njobs = v->o->depth;
	v->rng = v->o->seed;
	v->version = calloc(v->nsect, sizeof(*v->version));
	v->busy = calloc(v->nsect, 1);
	v->gap = calloc(GAPS_MAX, sizeof(*v->gap));
	v->jobs = calloc(v->njobs, sizeof(*v->jobs));
	if (!v->version || !v->busy || !v->gap || !v->jobs)
		return -ENOMEM;
	for (unsigned i = 0; i < v->njobs; i++) {
		struct job *j = &v->jobs[i];

		j->v = v;
		j->buf = aligned_alloc(4096, IO_MAX);
		if (!j->buf)
			return -ENOMEM;
		j->next_free = v->free;
		v->free = j;
	}
	return 0;
}

int blk_verify(struct blkfront *f, const struct blk_verify_opts *o, struct blk_verify_result *res)
{
	struct verify v = { .f = f, .o = o, .res = res };
	int ended, rc;

	memset(res, 0, sizeof(*res));
	rc = set_up(&v);
	if (!rc) {
		ended = run(&v, clock_now() + o->seconds * NS_PER_S);
		v.final = true;
		if (!ended)
			ended = run(&v, 0);
		if (ended)
			res->rc = res->rc ? res->rc : ended;
		if (v.running > 0) { /* their callbacks use what is freed below */
			blkfront_cancel(f);
			for (unsigned i = 0; i < v.info.queues; i++)
				blkfront_poll(blkfront_get_queue(f, i));
		}
		sum_gaps(&v);
	}
	for (unsigned i = 0; v.jobs && i < v.njobs; i++)
		free(v.jobs[i].buf);
	free(v.jobs);
	free(v.gap);
	free(v.busy);
	free(v.version);
	return rc;
}
