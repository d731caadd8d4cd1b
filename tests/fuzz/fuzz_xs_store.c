/* Requests of several clients, sound and malformed, one after the other on the real server: operations alone and in
 * transactions, watches, domains that come and go, clients that do not read or hang up. The accounts of the store are
 * counted anew, a refused write changes nothing, and the records of all changes, applied to another store, make the same. */
#include "ring/os/clock.h"
#include "tests/fuzz/input.h"
#include "xenstore-glue/store/srv_priv.h"
#include "xenstore-glue/store/xs_record.h"

#include <sys/socket.h>
#include <unistd.h>

#define NCONNS 5u
#define NDOMS 4u
#define LOOKED_AT 100u /* domids from here on are not introduced by the words below */

static struct {
	struct xs_server s;
	struct xs_store *st, *copy;
	struct xs_recorder rec;
	uint64_t serial;
	int fd[NCONNS]; /* the clients' ends; -1: none */
	uint16_t domid[NCONNS];
	uint32_t tx[NCONNS]; /* the last transaction that it was given */
	uint64_t now;
	bool full; /* no record is taken */
} w;

/* Time stands still but for the steps of the input. */
uint64_t clock_now(void) { return w.now; }
uint64_t clock_wall(void) { return w.now; }

static int append(struct xs_recorder *r, const void *rec, size_t len)
{
	(void)r;
	if (w.full)
		return -ENOSPC;
	xs_rec_seal((void *)(uintptr_t)rec, len, ++w.serial);
	CHECK(xs_rec_check(rec, len, w.serial) == len);
	CHECK(xs_rec_apply(w.copy, rec, len) == 0);
	return 0;
}

/* ---- what a store holds, in one number */

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001b3ull;
	return h;
}

static uint64_t print_of(const struct xs_store *st)
{
	uint64_t sum = st->nodes.count;

	for (struct xs_slot *s = xs_table_next(&st->nodes, NULL); s; s = xs_table_next(&st->nodes, s)) {
		const struct xs_node *n = CONTAINER_OF(s, struct xs_entry, slot)->node;
		uint64_t h = mix(0xcbf29ce484222325ull, s->path, s->len);

		h = mix(h, n->data, n->datalen);
		h = mix(h, n->children, n->childlen);
		for (uint32_t i = 0; i < n->nperms; i++)
			h = mix(h, &(uint64_t){n->perms[i].domid * 16ull + n->perms[i].may}, sizeof(h));
		sum += h; /* in any order */
	}
	for (unsigned i = 0; i < LOOKED_AT; i++)
		if (st->dom[i])
			sum += (i + 1) * 0x9e3779b97f4a7c15ull + st->dom[i]->target * 7ull;
	return sum;
}

static void check_store(void)
{
	char text[256] = "";

	if (xs_store_check(w.st, text, sizeof(text)))
		check_failed(__FILE__, __LINE__, text);
}

/* What each domain is charged for but its nodes, which the store counts itself. */
static void check_domains(void)
{
	for (unsigned i = 0; i < LOOKED_AT; i++) {
		const struct xs_dom *d = w.st->dom[i];
		uint32_t watches = 0, txns = 0;
		const struct srv_conn *c;
		const struct xs_watch *x;

		if (!d)
			continue;
		TAILQ_FOREACH(c, &w.s.conns, link) {
			if (c->domid != i || c->dead)
				continue;
			txns += c->txns.count;
			TAILQ_FOREACH(x, &c->watches.list, link)
				watches++;
		}
		CHECK(d->watches == watches && d->txns == txns);
	}
}

/* ---- clients */

static void drain(unsigned i)
{
	char buf[8192];
	struct xsd_sockmsg h;
	ssize_t n;

	while ((n = recv(w.fd[i], buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		if ((size_t)n < sizeof(h))
			continue;
		memcpy(&h, buf, sizeof(h));
		if (h.type == XS_TRANSACTION_START && h.len < 16)
			w.tx[i] = (uint32_t)strtoul(buf + sizeof(h), NULL, 10);
	}
}

static void run(void)
{
	for (int i = 0; i < 3; i++)
		CHECK(loop_once(w.s.loop, 0) == 0);
}

static void connect_client(unsigned i)
{
	uint16_t domid = i < 2 ? 0 : (uint16_t)(1 + (i - 2) % NDOMS);
	int s[2];

	if (w.fd[i] >= 0 || !xs_store_dom(w.st, domid))
		return;
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) == 0);
	CHECK(srv_conn_add(&w.s, s[0], domid) == 0);
	w.fd[i] = s[1];
	w.domid[i] = domid;
	w.tx[i] = 0;
}

static void hang_up(unsigned i)
{
	if (w.fd[i] >= 0)
		close(w.fd[i]);
	w.fd[i] = -1;
}

static const char *const words[] = {
	"/local/domain/1", "/local/domain/1/a", "/local/domain/1/a/b", "/local/domain/2/x", "a", "a/b", "a/b/c", "/", "/tool",
	"@introduceDomain", "@releaseDomain", "n1", "b0", "r2", "w1", "T", "F", "1", "2", "3", "0", "tok", "check", "quota",
	"set", "nodes", "watches", "memory", "transactions", "5", "64", "memreport", "12", "/local", "/local/domain/2",
};

/* Strings of the list, bytes of the input, or both. */
static uint32_t payload(struct input *in, char *p, size_t room)
{
	unsigned how = (unsigned)take(in, 1), n = how % 5;
	size_t len = take_words(in, p, words, ARRAY_LEN(words), n, how & 0x80);

	if (how & 0x20)
		len += take_bytes(in, p + len, how & 0x40 ? take(in, 2) % (room - len) : take(in, 1) % 32);
	return (uint32_t)MIN(len, (size_t)XENSTORE_PAYLOAD_MAX);
}

static bool writes(uint32_t type)
{
	return type == XS_WRITE || type == XS_MKDIR || type == XS_RM || type == XS_SET_PERMS;
}

/* A refused request of a client that has nothing else to be read, outside any transaction, changes nothing. */
static void request(unsigned i, struct input *in)
{
	static char data[XENSTORE_PAYLOAD_MAX + 512], frame[XS_FRAME_MAX], buf[1 << 16];
	uint32_t type = (uint32_t)take(in, 1) % (XS_TYPE_COUNT + 1), how = (uint32_t)take(in, 1), len, tx;
	uint64_t before = print_of(w.st);
	struct xsd_sockmsg h;
	ssize_t n;
	size_t size;

	len = payload(in, data, sizeof(data) - 256);
	tx = how & 1 ? w.tx[i] : how & 2 ? how : 0;
	size = xs_frame(frame, type, how, tx, data, len);
	if (how & 4) /* in two pieces */
		CHECK(send(w.fd[i], frame, size / 2, MSG_NOSIGNAL) >= -1);
	if (send(w.fd[i], how & 4 ? frame + size / 2 : frame, how & 4 ? size - size / 2 : size, MSG_NOSIGNAL) < 0)
		return;
	run();
	if (how & 8)
		return; /* it does not read */
	n = recv(w.fd[i], buf, sizeof(buf), MSG_DONTWAIT);
	if (n < (ssize_t)sizeof(h))
		return;
	memcpy(&h, buf, sizeof(h));
	if (type == XS_TRANSACTION_START && h.type == type)
		w.tx[i] = (uint32_t)strtoul(buf + sizeof(h), NULL, 10);
	if (h.type == XS_ERROR && h.req_id == how && n == (ssize_t)(sizeof(h) + h.len) && writes(type))
		CHECK(print_of(w.st) == before);
	drain(i);
}

static void raw(unsigned i, struct input *in)
{
	char buf[64];
	size_t n = take_bytes(in, buf, take(in, 1) % sizeof(buf));

	CHECK(send(w.fd[i], buf, n, MSG_NOSIGNAL) >= -1);
}

static void step(struct input *in)
{
	unsigned what = (unsigned)take(in, 1), i = what / 16 % NCONNS;

	switch (what % 16) {
	case 0:
		hang_up(i);
		break;
	case 1:
		w.now += take(in, 2) * NS_PER_MS;
		break;
	case 2:
		w.full = what & 0x80;
		break;
	case 3:
		if (w.fd[i] >= 0)
			raw(i, in);
		break;
	case 4:
		CHECK(srv_introduce(&w.s, (uint16_t)(1 + i % NDOMS), what & 0x80) <= 0);
		break;
	case 5:
		CHECK(srv_release(&w.s, (uint16_t)(1 + i % NDOMS)) <= 0);
		break;
	default:
		connect_client(i);
		if (w.fd[i] >= 0)
			request(i, in);
	}
	run();
	check_domains();
}

/* ---- a world for one input */

static void begin(uint64_t seed)
{
	memset(&w, 0, sizeof(w));
	w.now = NS_PER_S;
	CHECK(xs_store_open(&w.st, seed) == 0 && xs_store_open(&w.copy, seed + 1) == 0 && loop_open(&w.s.loop) == 0);
	w.rec.append = append;
	w.st->recorder = &w.rec;
	w.st->quota = (struct xs_quota){.nodes = 20, .node_size = 300, .perms = 5, .watches = 6, .txns = 3, .txn_nodes = 12,
					.outstanding = 5, .memory = 20000};
	w.s.st = w.st;
	TAILQ_INIT(&w.s.conns);
	STAILQ_INIT(&w.s.dirty);
	LIST_INIT(&w.s.hubs);
	for (unsigned i = 0; i < NCONNS; i++)
		w.fd[i] = -1;
	CHECK(srv_introduce(&w.s, 1, true) == 0 && srv_introduce(&w.s, 2, false) == 0);
}

/* When all clients are gone, nobody is charged for anything but nodes. */
static void end(void)
{
	struct srv_conn *c;

	for (unsigned i = 0; i < NCONNS; i++)
		hang_up(i);
	TAILQ_FOREACH(c, &w.s.conns, link)
		srv_conn_close(c);
	run();
	CHECK(TAILQ_EMPTY(&w.s.conns));
	for (unsigned i = 0; i < LOOKED_AT; i++)
		if (w.st->dom[i])
			CHECK(!w.st->dom[i]->held && !w.st->dom[i]->watches && !w.st->dom[i]->txns && !w.st->dom[i]->outstanding);
	check_store();
	CHECK(print_of(w.st) == print_of(w.copy));
	loop_timer_stop(w.s.loop, &w.s.credit_timer);
	loop_close(w.s.loop);
	xs_store_close(w.st);
	xs_store_close(w.copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 4096u)};

	begin(take(&in, 1));
	while (in.left)
		step(&in);
	end();
	return 0;
}
