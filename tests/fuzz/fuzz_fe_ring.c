/* A backend that writes what it likes into a guest's ring, in the three ABIs: no answer is taken that was not owed, none
 * twice, and nothing outside the ring is touched. */
#include "frontend/core/fe_ring.h"
#include "frontend/core/fe_shadow.h"
#include "tests/fuzz/input.h"

#include <errno.h>

struct guest {
	struct fe_ring r;
	struct fe_shadow shadow;
	char *mem;
	size_t bytes;
	unsigned asked, taken; /* shown to the backend; answers taken */
};

static void ask(struct guest *g, struct input *in)
{
	struct fe_request req = {.op = (uint8_t)take(in, 1) % 7, .sector = take(in, 2)};
	uint32_t i;

	if (fe_shadow_full(&g->shadow) || g->r.req_put - g->r.rsp_taken >= g->r.entries)
		return;
	req.indirect = req.op == 6;
	req.nr_segments = req.indirect ? 200 : req.op % 11;
	req.id = fe_shadow_take(&g->shadow, &i);
	fe_ring_put(&g->r, &req);
	g->asked++;
}

static void answers(struct guest *g)
{
	struct fe_response rsp;
	uint32_t i;
	int rc;

	while ((rc = fe_ring_take(&g->r, &rsp)) == 1) {
		CHECK(++g->taken <= g->asked);
		if (fe_shadow_find(&g->shadow, rsp.id, &i))
			continue;
		CHECK(i < g->shadow.n && g->shadow.slot[i].live);
		fe_shadow_free(&g->shadow, i);
		CHECK(fe_shadow_find(&g->shadow, rsp.id, &i) == -EPEER); /* not once more */
	}
	CHECK(rc == 0 || rc == -EPEER);
}

/* An answer of the request in place `at`, or bytes anywhere. */
static void backend(struct guest *g, struct input *in, unsigned how)
{
	unsigned n = (unsigned)take(in, 1);
	size_t at = take(in, 2) % g->bytes;
	const struct blkif_abi *abi = g->r.abi;
	char *slot = (char *)g->r.sring->ring + (size_t)((g->r.rsp_taken + n) % g->r.entries) * abi->stride;

	if (how & 1) {
		take_bytes(in, g->mem + at, MIN(MIN(n, 32u), g->bytes - at));
		return;
	}
	memmove(slot, slot + abi->id, sizeof(uint64_t)); /* as the request had it */
	memset(slot + 8, 0, 4);
}

static void step(struct guest *g, struct input *in)
{
	unsigned what = (unsigned)take(in, 1);

	switch (what % 7) {
	case 0:
	case 1:
		ask(g, in);
		break;
	case 2:
		fe_ring_publish(&g->r);
		break;
	case 3:
		backend(g, in, what >> 4);
		break;
	case 4:
		g->r.sring->rsp_prod = g->r.rsp_taken + (uint32_t)(int8_t)take(in, 1);
		break;
	case 5:
		answers(g);
		break;
	default:
		fe_ring_arm(&g->r);
	}
	CHECK(g->shadow.live <= g->shadow.n && g->r.req_put - g->r.rsp_taken <= g->r.entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	unsigned how = (unsigned)take(&in, 1), pages = 1u << (how / 3) % 3;
	struct guest g = {.bytes = pages * BH_PAGE_SIZE};

	g.mem = aligned_alloc(64, g.bytes);
	CHECK(g.mem);
	memset(g.mem, 0, g.bytes);
	fe_ring_init(&g.r, g.mem, pages, CONN_NATIVE + how % 3);
	CHECK(fe_shadow_open(&g.shadow, g.r.entries) == 0);
	if (how & 0x80)
		g.r.req_put = g.r.req_published = g.r.rsp_taken = g.r.sring->rsp_prod = UINT32_MAX - 2;
	while (in.left)
		step(&g, &in);
	answers(&g);
	fe_shadow_close(&g.shadow);
	free(g.mem);
	return 0;
}
