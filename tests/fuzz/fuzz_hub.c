/* Packets of several clients to the hub, sound and malformed: after each, everything that the hub keeps is counted anew. */
#include "tests/unit/hv/hub_rig.h"

#include "tests/fuzz/input.h"

#define CONNS 6u

static struct hub *h;
static struct hub_conn *conns[CONNS];

/* Numbers near what exists, or any. */
static uint32_t number(struct input *in, uint32_t base)
{
	uint32_t v = (uint32_t)take(in, 1);

	return v == 255 ? (uint32_t)take(in, 4) : base + v % 16;
}

static size_t request(union hub_buf *q, struct input *in)
{
	unsigned how = (unsigned)take(in, 1);
	struct hub_msg *m = &q->m;
	size_t len;

	memset(m, 0, sizeof(*m));
	m->op = how % (HUB_OP_COUNT + 1);
	m->role = (uint16_t)(take(in, 1) % 6);
	m->version = HUB_VERSION;
	m->dom = (uint16_t)number(in, 0);
	m->self = m->role == HUB_STUB || m->role == HUB_SUPERVISOR ? (uint16_t)(how / 128) : (uint16_t)take(in, 1);
	m->arg = m->op == HUB_REGION ? take(in, 1) * BH_PAGE_SIZE : number(in, 0);
	m->name[0] = "ABC.\0"[take(in, 1) % 5];
	m->nent = (uint16_t)(take(in, 1) % 8);
	for (uint32_t i = 0; i < m->nent; i++)
		m->ent[i] = (struct hub_ent){.gref = number(in, HUB_GREF_FIRST - 2), .region = number(in, h->next_region - 8),
					     .page = number(in, 0), .ro = (uint16_t)(take(in, 1) % 3)};
	len = sizeof(*m) + m->nent * sizeof(m->ent[0]);
	if ((how & 0x60) == 0x60) {
		take_bytes(in, m, take(in, 1) % sizeof(*m));
		len = take(in, 2) % sizeof(*q);
	}
	return len;
}

static void check_reply(const struct hub_msg *m, struct hub_reply *r)
{
	CHECK(r->buf.m.op == m->op && r->buf.m.rc <= 0 && r->len >= sizeof(*m) && r->len <= HUB_MSG_MAX);
	CHECK(r->nfds <= HUB_FDS_MAX && (r->buf.m.rc == 0 || r->nfds == 0));
	for (size_t i = 0; i < r->nfds; i++)
		CHECK(host.alive[r->fds[i]]);
	if (r->give_away)
		t_fd_end(NULL, r->fds[0]);
}

static void step(struct input *in)
{
	static struct hub_reply r;
	static union hub_buf q;
	unsigned what = (unsigned)take(in, 1);
	struct hub_conn **c = &conns[what % CONNS];
	const struct hub_msg *m;
	char *packet;
	size_t len;

	host.fail_in = what >= 0xf0 ? 1 : 0;
	if (!*c)
		*c = hub_conn_new(h, c);
	len = request(&q, in);
	packet = exact(len);
	memcpy(packet, &q, len);
	m = what % 32 == 31 ? NULL : hub_decode(packet, len);
	if (!m || hub_apply(h, *c, m, &r)) {
		hub_conn_end(h, *c);
		*c = NULL;
	} else {
		check_reply(m, &r);
	}
	free(packet);
	recount(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 4096u)};

	host_reset();
	memset(conns, 0, sizeof(conns));
	h = hub_new(&t_ops, NULL);
	CHECK(h);
	while (in.left)
		step(&in);
	hub_free(h);
	CHECK(host.open_fds == 0);
	return 0;
}
