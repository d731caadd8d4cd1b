#include "tests/sim/ncrash_sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RANDOM_RUNS 300u
#define ALL (CONN_NET_SG | CONN_NET_GSO4 | CONN_NET_GSO6 | CONN_NET_CSUM4 | CONN_NET_CSUM6)

const struct nc_workload nc_work[NC_WORKLOADS] = {
	{.name = "ring of two", .tx = {"P60 P61 P62 P63"}, .rx = {"I60 I61 I62"}, .nr = 2, .batch = 1, .features = ALL},
	{.name = "pairs", .tx = {"P100/2 S P60 P90/2 B60"}, .rx = {"I5000 R V80 I60"}, .nr = 2, .batch = 2, .features = ALL},
	{.name = "chains", .tx = {"P3000/3 T2000/2 P60 W3000/3 E900/3 C200/2 L80/2"}, .rx = {"T5000 I60 W6000 V1200 C100"}, .nr = 8,
	 .batch = 3, .features = ALL},
	{.name = "batches", .tx = {"P60 P61 P62 P63 P64 P65 P66 P67 P68 P69 P70 P71"}, .rx = {"I60 I61 I62 I63 I64 I65 I66 I67 I68 I69"},
	 .nr = 8, .batch = 8, .features = ALL, .split = true},
	{.name = "two queues", .tx = {"P60 T2000/2 P61 P62", "P70 P3000/3 P71"}, .rx = {"I60 T5000 I61", "V70 I71 I72"}, .nr = 4, .batch = 3,
	 .features = ALL},
	{.name = "too many parts", .tx = {"P60 N2000 P61 P4000/18 N1000"}, .rx = {"I60"}, .nr = 32, .batch = 4, .features = ALL},
	{.name = "odd frames", .tx = {"P60"}, .rx = {"X60 X61 I60 X3000 I61 X62 R"}, .nr = 4, .batch = 1, .features = ALL, .split = true},
	{.name = "reads cut short", .tx = {"P60"}, .rx = {"I60 T8500 T5000 I7000 I61 T8800 I4100"}, .nr = 8, .batch = 1, .features = ALL,
	 .cut = true},
	{.name = "sums", .tx = {"C100 P60 C900/2"}, .rx = {"C100 I60 C300 C1000 V70"}, .nr = 4, .batch = 2, .features = CONN_NET_SG},
	{.name = "headroom", .tx = {"P60 P61"}, .rx = {"I60 T5000 I4080 I3840 I3841"}, .nr = 8, .batch = 2, .features = ALL, .headroom = 256},
	{.name = "multicast", .tx = {"A1 P60 A2 P61 A1 D2 P62 P63 P64", "P70 A3 P71"},
	 .rx = {"M1 I60 M2 M4 M1 I61 M2 M1 M1 M3", "I70 M3 M1 M1 M3 M3"}, .nr = 4, .batch = 2, .features = ALL | CONN_NET_MCAST},
	{.name = "control", .tx = {"P60 P61"}, .rx = {"I60 T5000 V70 I61 T5001 W5002 I62 I63 T5003 V71 I64 I65 I66"},
	 .ctrl = "a1 f15 k40 ? m8 t4 o z9 f1 k16 a0 a1 f15 z0", .nr = 8, .batch = 1, .features = ALL},
	{.name = "a full netport", .tx = {"P60 P61 T3000/3 P62 P63 S P64", "P70 P71"}, .rx = {"I60 I61", "I70"}, .nr = 4, .batch = 4, .features = ALL,
	 .fickle = true, .full = true, .posted = 1},
	{.name = "round again", .tx = {"P60"}, .rx = {"I60 I61 V62 I63 I64 I65 I66 R I68 I69 I70 I71 I72 T5000 I73 I74 I75 I76 I77 I78 I79 T4500 I80"},
	 .nr = 8, .batch = 1, .features = ALL},
	{.name = "a killer", .tx = {"P60 P61 P62 P63 T3000/2 P64"}, .rx = {"I60 I61 I62"}, .nr = 8, .batch = 5, .features = ALL, .tx_killer = 3},
	{.name = "a deadly packet", .tx = {"P60 P61 P62"}, .rx = {"I60 I61 I62 I63 T5000"}, .nr = 8, .batch = 1, .features = ALL, .rx_killer = 3},
	{.name = "indices over 2^32", .tx = {"P60 P3000/3 P61 T2000/2 P62"}, .rx = {"I60 T5000 I61 I62"}, .nr = 4, .batch = 3, .features = ALL,
	 .fickle = true, .base = 0xfffffffdull},
	{.name = "a deadly message", .tx = {"P60 P61"}, .rx = {"I60 I61"}, .ctrl = "a1 k40 f15 k8 m8", .nr = 8, .batch = 1, .features = ALL,
	 .ctrl_killer = 2},
	{.name = "all pairs", .tx = {"P60 T2000/2"}, .rx = {"I60 T5000"}, .nr = 4, .batch = 2, .features = ALL, .pairs = true},
	{.name = "all pairs, said", .tx = {"A1 D1"}, .rx = {"M1 I60"}, .ctrl = "a1 k40", .nr = 2, .batch = 1, .features = ALL | CONN_NET_MCAST,
	 .pairs = true},
};

static const char *const names[NMUTANT_COUNT] = {
	[NMUTANT_CONS_FIRST] = "cons first",
	[NMUTANT_HALF_PACKETS] = "half packets",
	[NMUTANT_SENT_FIRST] = "sent first",
	[NMUTANT_SENT_LATE] = "sent late",
	[NMUTANT_ANSWER_LATE] = "answer late",
	[NMUTANT_PUBLISH_FIRST] = "publish first",
	[NMUTANT_REREAD_RING] = "reread ring",
	[NMUTANT_TYPE_KEPT] = "type kept",
	[NMUTANT_NO_STAMPS] = "no stamps",
	[NMUTANT_FREE_FIRST] = "free first",
	[NMUTANT_PLACED_UNSAID] = "placed unsaid",
	[NMUTANT_RX_PUBLISH_FIRST] = "RX publish first",
	[NMUTANT_DELIVER_AGAIN] = "deliver again",
	[NMUTANT_FILLED_LATE] = "filled late",
	[NMUTANT_CTRL_LATE] = "control late",
	[NMUTANT_CTRL_NOT_TAKEN] = "control not taken",
	[NMUTANT_NET_IN_PLACE] = "net in place",
	[NMUTANT_MCAST_UNSAID] = "multicast unsaid",
	[NMUTANT_TRUST_RING] = "trust ring",
	[NMUTANT_COUNT_FOREIGN] = "count foreign",
	[NMUTANT_NO_UNMASK] = "no unmask",
	[NMUTANT_NO_NOTIFY] = "no notify",
};
const char *nc_mutant_name(enum njrnl_mutant m) { return names[m]; }

uint64_t nc_sweep_seed = 1;
static unsigned factor = 1;

static bool run(const struct nc_workload *wl, const struct nc_plan *p, struct nc_sweep *s, struct nc_outcome *out)
{
	nc_run(wl, p, out);
	s->runs++;
	s->deaths += out->incarnations - 1;
	s->repeated += out->repeated;
	s->lost += out->lost;
	if (!out->invariant)
		return true;
	s->plan = *p;
	s->out = *out;
	return false;
}

/* Dies at 'at', then once more at some points of the life that follows: half of them in its start, or at all of
 * that, unless the first one was in the first start: then the life that follows is the first again. */
static bool deaths(const struct nc_workload *wl, struct nc_plan p, unsigned at, struct nc_sweep *s)
{
	struct crash_rng rng = {p.seed * 1000003 + at};
	struct nc_outcome first, out;
	unsigned n;

	p.nkills = 1;
	p.kill[0] = at;
	if (!run(wl, &p, s, &first))
		return false;
	n = first.points[1];
	p.nkills = 2;
	for (unsigned k = 1; wl->pairs && at > first.start_points[0] && k <= first.start_points[1]; k++) {
		p.kill[1] = k;
		if (!run(wl, &p, s, &out))
			return false;
	}
	for (unsigned i = 0; n && i < factor; i++) {
		p.kill[1] = 1 + crash_below(&rng, crash_below(&rng, 2) ? n : first.start_points[1]);
		if (!run(wl, &p, s, &out))
			return false;
	}
	return true;
}

static bool at_random(const struct nc_workload *wl, struct nc_sweep *s)
{
	for (unsigned i = 1; i <= RANDOM_RUNS * factor; i++) {
		struct crash_rng rng = {nc_sweep_seed * 7919 + i};
		struct nc_plan p = {.seed = crash_next(&rng), .nkills = crash_below(&rng, NC_KILLS + 1)};
		struct nc_outcome out;

		p.poller = crash_below(&rng, 2);
		for (unsigned k = 0; k < p.nkills; k++)
			p.kill[k] = 1 + crash_below(&rng, s->points);
		if (!run(wl, &p, s, &out))
			return false;
	}
	return true;
}

/* Always at the same point after a start: the same packet is in hand again and again. */
static bool again(const struct nc_workload *wl, struct nc_plan p, unsigned at, struct nc_sweep *s)
{
	struct nc_outcome first, out;

	p.nkills = 1;
	p.kill[0] = at;
	if (!run(wl, &p, s, &first))
		return false;
	p.nkills = NC_KILLS;
	for (unsigned i = 1; i <= 40 && first.start_points[1]; i += 4) {
		for (unsigned k = 1; k < NC_KILLS; k++)
			p.kill[k] = first.start_points[1] + i;
		if (!run(wl, &p, s, &out))
			return false;
	}
	return true;
}

bool nc_sweep(const struct nc_workload *wl, struct nc_sweep *s)
{
	for (unsigned poller = 0; poller < 2; poller++) {
		struct nc_plan p = {.seed = nc_sweep_seed * 1000 + wl->nr + poller, .poller = poller};
		struct nc_outcome dry;

		for (const char *c = wl->name; *c; c++)
			p.seed = p.seed * 31 + (uint64_t)*c;
		if (!run(wl, &p, s, &dry))
			return false;
		s->points = dry.points[0];
		for (unsigned at = 1; at <= dry.points[0]; at++)
			if (!deaths(wl, p, at, s) || (at % 16 == 0 && !again(wl, p, at, s)))
				return false;
	}
	return at_random(wl, s);
}

void nc_sweep_tell(const struct nc_workload *wl, const struct nc_sweep *s)
{
	printf("%s: %s\n  REPLAY=\"%zu %" PRIu64 " %d %d", s->out.invariant, s->out.text, (size_t)(wl - nc_work), s->plan.seed, s->plan.poller,
	       s->plan.own_fault);
	for (unsigned k = 0; k < s->plan.nkills; k++)
		printf(" %u", s->plan.kill[k]);
	printf("\"\n");
}

static void replay(char *text)
{
	struct nc_plan p = {0};
	struct nc_outcome out;
	unsigned long wl = strtoul(text, &text, 10);

	p.seed = strtoull(text, &text, 10);
	p.poller = strtoul(text, &text, 10);
	p.own_fault = strtoul(text, &text, 10);
	while (*text == ' ' && p.nkills < NC_KILLS)
		p.kill[p.nkills++] = (unsigned)strtoul(text, &text, 10);
	nc_run(&nc_work[wl % NC_WORKLOADS], &p, &out);
	printf("%s: %s\n", out.invariant ? out.invariant : "sound", out.text);
	exit(out.invariant != NULL);
}

void nc_sweep_init(void)
{
	const char *seed = getenv("SEED"), *n = getenv("N"), *mutant = getenv("MUTANT");
	char *text = getenv("REPLAY");

	nc_sweep_seed = seed ? strtoull(seed, NULL, 10) : 1;
	factor = n && strtoul(n, NULL, 10) ? (unsigned)strtoul(n, NULL, 10) : 1;
	if (!text)
		return;
	for (enum njrnl_mutant m = NMUTANT_NONE + 1; mutant && m < NMUTANT_COUNT; m++)
		if (strcmp(names[m], mutant) == 0)
			njrnl_mutant = m;
	replay(text);
}
