#include "tests/sim/crash_gen.h"

#include "ring/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTORS 6u
#define LEN_MAX 3u
#define KEYS (1u << 12)

struct range {
	uint8_t first, n;
};

struct gen {
	unsigned len, nintervals;
	struct range interval[SECTORS * LEN_MAX];
	char op[GEN_LEN_MAX + 1];
	/* of the present operations: the best ranges of each key */
	struct range best[KEYS][GEN_LEN_MAX];
	uint16_t score[KEYS];
	struct gen_world *out;
	size_t n, room;
};

static bool has_range(char op) { return op != 'F'; }
static bool writes(char op) { return strchr("WBDI", op) != NULL; }
static bool overlap(struct range a, struct range b) { return a.first < b.first + b.n && b.first < a.first + a.n; }

/* Who touches each sector: untouched ones and repetitions left out. Up to two requests this is the key. */
static unsigned shape(const struct gen *g, const struct range *r, unsigned *distinct)
{
	unsigned key = 0, last = 0, seen = 0;

	for (unsigned s = 0; s < SECTORS; s++) {
		unsigned who = 0;

		for (unsigned i = 0; i < g->len; i++)
			if (has_range(g->op[i]) && s >= r[i].first && s < r[i].first + r[i].n)
				who |= 1u << i;
		if (who && who != last)
			key = (key << 2 | (who & 3)) & (KEYS - 1);
		if (who)
			last = who;
		seen |= 1u << who;
	}
	*distinct = (unsigned)__builtin_popcount(seen & ~1u);
	return key;
}

/* Who overlaps whom, where it can matter. */
static unsigned graph(const struct gen *g, const struct range *r, bool *matters)
{
	unsigned key = 0, bit = 0;

	for (unsigned i = 0; i < g->len; i++)
		for (unsigned k = 0; k < i; k++) {
			if (!has_range(g->op[i]) || !has_range(g->op[k]) || !(writes(g->op[i]) || writes(g->op[k])))
				continue;
			*matters = true;
			key |= (unsigned)overlap(r[i], r[k]) << bit++;
		}
	return key;
}

static void consider(struct gen *g, const struct range *r)
{
	unsigned distinct, total = 0, key = shape(g, r, &distinct), score;
	bool matters = false;
	unsigned pairs = graph(g, r, &matters);

	for (unsigned i = 0; i < g->len; i++)
		total += r[i].n;
	if (g->len > 2 || !matters)
		key = pairs;
	score = 100 + distinct * 20 - total;
	if (score <= g->score[key])
		return;
	g->score[key] = (uint16_t)score;
	memcpy(g->best[key], r, sizeof(g->best[key]));
}

/* All ranges of all requests; a flush has but one. */
static void try_ranges(struct gen *g, struct range *r, unsigned at)
{
	if (at == g->len) {
		consider(g, r);
		return;
	}
	for (unsigned i = 0; i < (has_range(g->op[at]) ? g->nintervals : 1); i++) {
		r[at] = g->interval[i];
		try_ranges(g, r, at + 1);
	}
}

static void write_script(const struct gen *g, const struct range *r, unsigned from, unsigned to, char *out)
{
	int n = 0;

	for (unsigned i = from; i < to; i++)
		n += has_range(g->op[i]) ? sprintf(out + n, "%s%c%u+%u", n ? " " : "", g->op[i], r[i].first, r[i].n)
					 : sprintf(out + n, "%s%c", n ? " " : "", g->op[i]);
}

static void add(struct gen *g, const struct range *r, unsigned split, unsigned nr, unsigned batch)
{
	struct gen_world *w;

	if (g->n == g->room) {
		g->room = g->room ? 2 * g->room : 1024;
		g->out = realloc(g->out, g->room * sizeof(*g->out));
		CHECK(g->out);
	}
	w = &g->out[g->n++];
	memset(w, 0, sizeof(*w));
	write_script(g, r, 0, split, w->script[0]);
	write_script(g, r, split, g->len, w->script[1]);
	w->nr = (uint8_t)nr;
	w->batch = (uint8_t)batch;
}

/* Of two queues the first has not fewer requests; of as many, not later operations. */
static bool is_canonical(const struct gen *g, unsigned split)
{
	unsigned rest = g->len - split;

	return split > rest || (split == rest && strncmp(g->op, g->op + split, split) <= 0);
}

static void add_all(struct gen *g, const struct range *r)
{
	for (unsigned split = 1; split <= g->len; split++) {
		if (!is_canonical(g, split))
			continue;
		for (unsigned nr = 2; nr <= (split > 2 ? 4u : 2u); nr += 2)
			for (unsigned batch = 1; batch <= MIN(split, nr); batch++)
				add(g, r, split, nr, batch);
	}
}

static void all_operations(struct gen *g, unsigned at)
{
	const char *letters = g->len <= 2 ? "RWFBDIJ" : "RWFBDI";
	struct range r[GEN_LEN_MAX] = {0};

	if (at < g->len) {
		for (const char *c = letters; *c; c++) {
			g->op[at] = *c;
			all_operations(g, at + 1);
		}
		return;
	}
	memset(g->score, 0, sizeof(g->score));
	try_ranges(g, r, 0);
	for (unsigned k = 0; k < KEYS; k++)
		if (g->score[k])
			add_all(g, g->best[k]);
}

uint64_t crash_gen_hash(const struct gen_world *w)
{
	const unsigned char *b = (const void *)w;
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < sizeof(*w); i++)
		h = (h ^ b[i]) * 0x100000001b3ull;
	return h ^ h >> 29;
}

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, sizeof(struct gen_world)); }

size_t crash_gen(unsigned len, struct gen_world **out)
{
	static struct gen g;

	memset(&g, 0, sizeof(g));
	g.len = len;
	for (uint8_t n = 1; n <= LEN_MAX; n++)
		for (uint8_t s = 0; s + n <= SECTORS; s++)
			g.interval[g.nintervals++] = (struct range){s, n};
	all_operations(&g, 0);
	qsort(g.out, g.n, sizeof(*g.out), by_bytes);
	for (size_t i = 1; i < g.n; i++)
		CHECK(memcmp(&g.out[i], &g.out[i - 1], sizeof(*g.out)) != 0); /* each once */
	*out = g.out;
	return g.n;
}
