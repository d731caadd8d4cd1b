#include "tests/bench/load.h"

#include "ring/os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTORS (LOAD_BLOCK / 512)
#define CHECK_NS (10 * NS_PER_S)

enum phase { FILLING, MIXED, READING };

struct load_slot {
	struct blkfront_io io;
	struct load *l;
	uint32_t version[LOAD_BLOCKS];
	uint32_t block, next; /* of its own; next: in the phases that go through all of them */
	enum phase phase;
	uint64_t begun, due; /* due: begins then; 0: runs or rests */
};

static uint64_t rnd(struct load *l)
{
	l->rng ^= l->rng << 13;
	l->rng ^= l->rng >> 7;
	return l->rng ^= l->rng << 17;
}

static uint64_t stamp(const struct load_slot *s)
{
	uint64_t slot = (uint64_t)(s - s->l->slot);

	return slot << 48 | (uint64_t)s->block << 32 | s->version[s->block];
}

static void put_stamps(struct load_slot *s)
{
	uint64_t v = stamp(s);

	for (unsigned i = 0; i < SECTORS; i++)
		memcpy((char *)s->io.buf + 512u * i, &v, sizeof(v));
}

static void check_stamps(struct load_slot *s)
{
	uint64_t v = stamp(s), got;

	for (unsigned i = 0; i < SECTORS; i++) {
		memcpy(&got, (char *)s->io.buf + 512u * i, sizeof(got));
		if (got == v)
			continue;
		if (!s->l->bad++)
			fprintf(stderr, "bulkhead bench: block %u of slot %u, sector %u: %#llx is there, %#llx was written\n", s->block,
				(unsigned)(s - s->l->slot), i, (unsigned long long)got, (unsigned long long)v);
	}
}

static void begin(struct load_slot *s, uint64_t now)
{
	struct load *l = s->l;
	bool write = s->phase == FILLING || (s->phase == MIXED && rnd(l) % 100 < l->write_percent);
	int rc;

	s->block = s->phase == MIXED ? (uint32_t)(rnd(l) % LOAD_BLOCKS) : s->next++;
	s->io.op = write ? BLKFRONT_WRITE : BLKFRONT_READ;
	s->io.off = ((uint64_t)(s - l->slot) * LOAD_BLOCKS + s->block) * LOAD_BLOCK;
	if (write) {
		s->version[s->block]++;
		put_stamps(s);
	}
	s->begun = now;
	l->due -= s->due != 0;
	s->due = 0;
	rc = blkfront_submit(l->q, &s->io);
	if (rc && !l->failed)
		l->failed = rc;
	l->running += rc == 0;
}

static void answered(struct blkfront_io *io, int rc)
{
	struct load_slot *s = io->user;
	struct load *l = s->l;
	uint64_t now;

	l->running--;
	if (rc) {
		l->failed = l->failed ? l->failed : rc;
		return;
	}
	if (io->op == BLKFRONT_READ)
		check_stamps(s);
	l->reads += io->op == BLKFRONT_READ;
	l->writes += io->op == BLKFRONT_WRITE;
	now = clock_now();
	if (l->latency && l->nlatency < l->max_latency)
		l->latency[l->nlatency++] = (double)(now - s->begun) / 1e3;
	if (s->phase == MIXED ? l->go_on : s->next < LOAD_BLOCKS) {
		s->due = now + l->pause_ns;
		l->due++;
	}
}

int load_poll(struct load *l, uint64_t now)
{
	int rc = blkfront_poll(l->q);
	bool some = false;

	for (unsigned i = 0; i < l->depth; i++)
		if (l->slot[i].due && l->slot[i].due <= now + (l->pause_ns ? 0 : NS_PER_S)) {
			begin(&l->slot[i], now);
			some = true;
		}
	if (some && rc >= 0) {
		int more = blkfront_poll(l->q);

		rc = more < 0 ? more : rc + more;
	}
	return rc < 0 ? rc : l->failed ? l->failed : rc;
}

/* Every slot goes through all of its blocks. */
static int go_through(struct load *l, enum phase phase)
{
	uint64_t now = clock_now(), until = now + CHECK_NS;
	int rc = 0;

	for (unsigned i = 0; i < l->depth; i++) {
		l->slot[i].phase = phase;
		l->slot[i].next = 0;
		begin(&l->slot[i], now);
	}
	do {
		rc = load_poll(l, now);
		now = clock_now();
	} while (rc >= 0 && l->running + l->due && now < until);
	return rc < 0 ? rc : l->running + l->due ? -ETIMEDOUT : 0;
}

int load_open(struct load *l, const char *runtime_dir, const char *domain, const char *vdev, unsigned depth,
	      unsigned write_percent, char *err, size_t size)
{
	const struct blkfront_open o = {.provider = "local", .runtime_dir = runtime_dir, .domain = domain, .vdev = vdev,
					.ring_pages = 1, .no_indirect = true};
	uint64_t now;
	int rc;

	*l = (struct load){.depth = depth, .write_percent = write_percent, .rng = clock_now() | 1};
	rc = blkfront_open(&o, &l->f, err, size);
	if (rc)
		return rc;
	l->q = blkfront_get_queue(l->f, 0);
	l->slot = calloc(depth, sizeof(*l->slot));
	l->mem = aligned_alloc(LOAD_BLOCK, (size_t)depth * LOAD_BLOCK);
	if (!l->slot || !l->mem)
		return -ENOMEM;
	memset(l->mem, 0, (size_t)depth * LOAD_BLOCK);
	for (unsigned i = 0; i < depth; i++) {
		l->slot[i].l = l;
		l->slot[i].io = (struct blkfront_io){.len = LOAD_BLOCK, .buf = l->mem + (size_t)i * LOAD_BLOCK, .done = answered,
						     .user = &l->slot[i]};
	}
	rc = go_through(l, FILLING);
	if (rc) {
		snprintf(err, size, "%s can not be written: %s", vdev, strerror(-rc));
		return rc;
	}
	now = clock_now();
	l->go_on = true;
	l->reads = l->writes = 0;
	for (unsigned i = 0; i < depth; i++) {
		l->slot[i].phase = MIXED;
		begin(&l->slot[i], now);
	}
	return 0;
}

int load_check(struct load *l)
{
	uint64_t now = clock_now(), until = now + CHECK_NS;
	int rc = 0;

	l->go_on = false;
	l->pause_ns = 0;
	for (unsigned i = 0; i < l->depth; i++)
		l->slot[i].due = 0;
	l->due = 0;
	while (rc >= 0 && l->running && now < until) {
		rc = load_poll(l, now);
		now = clock_now();
	}
	if (rc >= 0)
		rc = l->running ? -ETIMEDOUT : go_through(l, READING);
	return rc ? rc : l->bad ? -EBADMSG : 0;
}

void load_close(struct load *l)
{
	if (l->f)
		blkfront_close(l->f);
	free(l->slot);
	free(l->mem);
	*l = (struct load){0};
}
