#include "tests/sim/crash_check.h"

#include "ring/base/check.h"
#include "ring/proto/blkif_abi.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void crash_check_init(struct crash_check *c) { memset(c, 0, offsetof(struct crash_check, req)); }

void crash_violation(struct crash_check *c, const char *invariant, const char *fmt, ...)
{
	va_list ap;

	if (c->invariant)
		return;
	c->invariant = invariant;
	va_start(ap, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
}

bool crash_is_write(const struct crash_req *r) { return r->op == 'W' || r->op == 'I' || r->op == 'B' || r->op == 'D'; }
bool crash_is_read(const struct crash_req *r) { return r->op == 'R' || r->op == 'J'; }

uint64_t crash_stamp(const struct crash_check *c, const struct crash_req *r, unsigned k)
{
	return crash_stamp_of((unsigned)(r - c->req), k);
}

static const struct crash_req *writer_of(const struct crash_check *c, uint64_t stamp)
{
	uint64_t i = stamp >> 16;

	return i && i <= c->nreqs ? &c->req[i - 1] : NULL;
}

/* ---- the disk's log */

static bool durable(const struct crash_check *c, const struct crash_req *r)
{
	for (unsigned k = 0; k < r->n; k++) {
		uint64_t stamp = crash_stamp(c, r, k);
		bool landed = false, safe = false;

		/* Itself, or anything that landed on it later. */
		for (unsigned i = 0; i < c->log->n; i++) {
			const struct crash_landing *l = &c->log->at[i];

			if (l->sector != r->first + k)
				continue;
			landed |= l->stamp == stamp;
			safe |= landed && l->durable;
		}
		if (!safe)
			return false;
	}
	return true;
}

static bool goes_before(const struct crash_req *a, const struct crash_req *b)
{
	return a->posted && a->queue == b->queue && a->index < b->index;
}

/* Everything that r must find durable in the queue before it may be written itself. */
static void check_barrier(struct crash_check *c, const struct crash_req *r)
{
	if (c->flush_failed || c->bad_sector >= 0 || c->convicted || c->left)
		return; /* a barrier that failed orders nothing, and the disk does not see which did */
	for (unsigned b = 0; b < c->nreqs; b++) {
		const struct crash_req *bar = &c->req[b];

		if (bar->op != 'B' || !(bar == r || goes_before(bar, r)))
			continue;
		if (bar != r && !durable(c, bar))
			crash_violation(c, "BARRIER", "request %u was written before barrier %u was durable", (unsigned)(r - c->req), b);
		for (unsigned i = 0; i < c->nreqs; i++)
			if (goes_before(&c->req[i], bar) && crash_is_write(&c->req[i]) && !durable(c, &c->req[i]))
				crash_violation(c, "BARRIER", "request %u was written before %u, in front of barrier %u, was durable",
					      (unsigned)(r - c->req), i, b);
	}
}

void crash_check_landing(struct crash_check *c)
{
	const struct crash_landing *l = &c->log->at[c->log->n - 1];
	const struct crash_req *r = writer_of(c, l->stamp);
	bool other = false;

	if (!r || !r->posted || !crash_is_write(r) || l->sector != r->first + (l->stamp & 0xffff)) {
		crash_violation(c, "DATA", "sector %u was written with %llx", l->sector, (unsigned long long)l->stamp);
		return;
	}
	if (c->gone && l->generation > c->gone_generation)
		crash_violation(c, "GONE", "sector %u was written for a domain that is gone", l->sector);
	if (r->answered)
		crash_violation(c, "NO-RESURRECT", "sector %u was written by request %u after its answer", l->sector,
			      (unsigned)(r - c->req));
	for (unsigned i = c->log->n - 1; i-- > 0;) {
		const struct crash_landing *e = &c->log->at[i];

		if (e->sector != l->sector)
			continue;
		if (e->generation > l->generation)
			crash_violation(c, "ONE-WRITER", "sector %u: generation %llu wrote after generation %llu", l->sector,
				      (unsigned long long)l->generation, (unsigned long long)e->generation);
		if (e->stamp != l->stamp)
			other = true;
		else if (other)
			crash_violation(c, "NO-RESURRECT", "sector %u was written by request %u, another, and %u again", l->sector,
				      (unsigned)(r - c->req), (unsigned)(r - c->req));
	}
	check_barrier(c, r);
}

/* ---- answers */

static bool touches(const struct crash_req *r, int sector)
{
	return sector >= 0 && r->n && sector >= r->first && sector < r->first + r->n;
}

static bool may_fail(const struct crash_check *c, const struct crash_req *r)
{
	if (c->killer && !c->own_fault ? touches(r, c->killer) : c->convicted)
		return true;
	return touches(r, c->bad_sector) || ((r->op == 'F' || r->op == 'B') && c->flush_failed);
}

void crash_check_answer(struct crash_check *c, const struct crash_req *r)
{
	if (r->status != BLKIF_RSP_OKAY && r->status != BLKIF_RSP_ERROR && r->status != BLKIF_RSP_EOPNOTSUPP)
		crash_violation(c, "ID-ECHO", "status %d", r->status);
	if (r->op == 'X' && r->status == BLKIF_RSP_OKAY)
		crash_violation(c, "ID-ECHO", "request %u, invalid in way %u, was accepted", (unsigned)(r - c->req), r->kind);
	if (r->op != 'X' && r->status != BLKIF_RSP_OKAY && !may_fail(c, r))
		crash_violation(c, "ID-ECHO", "request %u (%c) failed with status %d", (unsigned)(r - c->req), r->op, r->status);
	if ((r->op != 'F' && r->op != 'B') || r->status != BLKIF_RSP_OKAY)
		return;
	if (r->op == 'B' && !durable(c, r))
		crash_violation(c, "FLUSH-DURABLE", "barrier %u is not durable itself", (unsigned)(r - c->req));
	for (unsigned i = 0; i < c->nreqs; i++) {
		const struct crash_req *w = &c->req[i];

		if (crash_is_write(w) && w->answered && w->status == BLKIF_RSP_OKAY && w->answer < r->invoke && !durable(c, w))
			crash_violation(c, "FLUSH-DURABLE", "request %u was answered before flush %u was sent, and is not durable", i,
				      (unsigned)(r - c->req));
	}
}

/* ---- registers: unique values, so Gibbons' and Korach's zones decide linearizability exactly */

struct zone {
	uint64_t stamp, first_answer, last_invoke;
	bool seen, sure; /* read by somebody; answered OKAY */
};

static struct zone *zone_of(struct zone *z, unsigned n, uint64_t stamp)
{
	for (unsigned i = 0; i < n; i++)
		if (z[i].stamp == stamp)
			return &z[i];
	return NULL;
}

static unsigned writes_of(const struct crash_check *c, unsigned sector, struct zone *z)
{
	unsigned n = 0;

	z[n++] = (struct zone){.sure = true};
	for (unsigned i = 0; i < c->nreqs; i++) {
		const struct crash_req *r = &c->req[i];

		if (r->posted && crash_is_write(r) && touches(r, (int)sector))
			z[n++] = (struct zone){.stamp = crash_stamp(c, r, sector - r->first),
					       .first_answer = r->answered ? r->answer : UINT64_MAX,
					       .last_invoke = r->invoke,
					       .sure = r->status == BLKIF_RSP_OKAY};
	}
	return n;
}

static void read_value(struct crash_check *c, struct zone *z, unsigned n, unsigned sector, uint64_t stamp, uint64_t invoke,
		       uint64_t answer)
{
	struct zone *v = zone_of(z, n, stamp);

	if (!v) {
		crash_violation(c, "REGISTER", "sector %u: a read found %llx, which nobody wrote", sector,
			      (unsigned long long)stamp);
		return;
	}
	v->seen = true;
	v->first_answer = MIN(v->first_answer, answer);
	v->last_invoke = MAX(v->last_invoke, invoke);
}

static bool forward(const struct zone *z) { return z->first_answer < z->last_invoke; }

static bool conflict(const struct zone *a, const struct zone *b)
{
	if (forward(a) && forward(b))
		return a->first_answer < b->last_invoke && b->first_answer < a->last_invoke;
	if (forward(a))
		return !forward(b) && b->last_invoke > a->first_answer && b->first_answer < a->last_invoke;
	return forward(b) && conflict(b, a);
}

static void check_register(struct crash_check *c, unsigned sector, uint64_t final)
{
	struct zone z[REQS_MAX + 1];
	unsigned n = writes_of(c, sector, z);

	for (unsigned i = 0; i < c->nreqs; i++) {
		const struct crash_req *r = &c->req[i];

		if (crash_is_read(r) && r->answered && r->status == BLKIF_RSP_OKAY && touches(r, (int)sector))
			read_value(c, z, n, sector, r->seen[sector - r->first], r->invoke, r->answer);
	}
	read_value(c, z, n, sector, final, c->now + 1, c->now + 2);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < i; k++)
			if ((z[i].seen || z[i].sure) && (z[k].seen || z[k].sure) && conflict(&z[i], &z[k]))
				crash_violation(c, "REGISTER", "sector %u: values %llx and %llx can not be put in order", sector,
					      (unsigned long long)z[i].stamp, (unsigned long long)z[k].stamp);
}

void crash_check_registers(struct crash_check *c, const uint64_t image[DISK_SECTORS])
{
	unsigned touched = 0;

	for (unsigned i = 0; i < c->nreqs; i++)
		touched = MAX(touched, c->req[i].op == 'X' ? 0u : (unsigned)c->req[i].first + c->req[i].n);
	for (unsigned s = 0; s < DISK_SECTORS; s++)
		if (s < touched || image[s])
			check_register(c, s, image[s]);
}
