/* What a store says to the client: replies and events, sound and malformed, of any request or none, in pieces of any size,
 * to a client that reads, lists, runs transactions and watches. Every request is called back exactly once, and only with
 * what the reply held. */
#include "ring/os/clock.h"
#include "tests/fuzz/input.h"
#include "xenstore-glue/client/xs.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define NWATCHES 3u
#define NASKED 64u

static struct {
	struct loop *loop;
	struct xsc *xs;
	int srv; /* the store's end; -1: none */
	struct xs_reader rd;
	uint32_t id[256], type[256], tx[256]; /* of the last requests */
	unsigned nreq;			      /* in all */
	struct xsc_watch watch[NWATCHES];
	unsigned calls[NASKED], asked;
	uint64_t now;
} w;

/* Time stands still but for the steps of the input. */
uint64_t clock_now(void) { return w.now; }
uint64_t clock_wall(void) { return w.now; }

static int dial(void *arg)
{
	int s[2];

	(void)arg;
	if (w.srv >= 0)
		close(w.srv);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) == 0);
	w.srv = s[1];
	xs_reader_init(&w.rd);
	return s[0];
}

static void on_done(void *arg, int rc, const char *data, size_t len)
{
	unsigned *calls = arg;

	CHECK(++*calls == 1);
	CHECK(rc == 0 || (!data && !len));
	if (rc == 0 && data)
		CHECK(strnlen(data, len + 1) <= len); /* the NUL behind it is there */
}

static int on_key(void *ctx, const char *key, const char *value, size_t len)
{
	(void)ctx;
	CHECK(key[0] && strnlen(value, len + 1) <= len);
	return len == 7 ? -EPROTO : 0;
}

static bool below(const char *name) { return name[0] == 'q'; }

static void body(struct xsc_run *run, xsc_tx tx, void *arg)
{
	(void)arg;
	xsc_write(w.xs, tx, "/a", "1", 1, NULL, NULL);
	xsc_run_end(run, 0);
}

static void on_event(struct xsc_watch *x, const char *path)
{
	CHECK(x >= w.watch && x < w.watch + NWATCHES && x->active);
	CHECK(strlen(path) <= XENSTORE_PAYLOAD_MAX);
	if (path[0] == 'e')
		xsc_unwatch(w.xs, x);
}

static void batch(unsigned *calls)
{
	struct xsc_batch *b = xsc_batch_new();

	xsc_batch_absent(b, "/b");
	xsc_batch_write(b, "/b/c", "%d", 1);
	xsc_batch_rm(b, "/d");
	xsc_batch_commit(w.xs, b, on_done, calls);
}

static void watch(struct xsc_watch *x, struct input *in)
{
	if (x->active)
		xsc_unwatch(w.xs, x);
	else
		CHECK(xsc_watch(w.xs, x, take(in, 1) & 1 ? "@releaseDomain" : "/w", on_event) == 0);
}

static void ask(struct input *in)
{
	unsigned what = (unsigned)take(in, 1), *calls = &w.calls[w.asked];

	if (what % 10 == 9) {
		watch(&w.watch[what / 10 % NWATCHES], in);
		return;
	}
	if (w.asked == NASKED)
		return;
	w.asked++;
	switch (what % 10) {
	case 0:
		xsc_read(w.xs, 0, "/a", on_done, calls);
		break;
	case 1:
		xsc_directory(w.xs, 0, "/a", on_done, calls);
		break;
	case 2:
		xsc_write(w.xs, 0, what & 0x80 ? "not absolute/" : "/a", "v", 1, on_done, calls);
		break;
	case 3:
		xsc_read_all(w.xs, 0, "/a", below, 3, on_key, NULL, on_done, calls);
		break;
	case 4:
		batch(calls);
		break;
	case 5:
		xsc_run(w.xs, body, on_done, calls);
		break;
	case 6:
		xsc_get_perms(w.xs, 0, "/a", on_done, calls);
		break;
	case 7:
		xsc_is_introduced(w.xs, 3, on_done, calls);
		break;
	default:
		xsc_rm(w.xs, 0, "/a", on_done, calls);
		*calls = 1; /* nobody is called any more */
		xsc_cancel(w.xs, calls);
	}
}

/* ---- the store */

static void read_requests(void)
{
	char buf[8192];
	ssize_t n;

	while (w.srv >= 0 && (n = recv(w.srv, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		for (size_t at = 0, used; at < (size_t)n; at += used) {
			if (xs_reader_feed(&w.rd, buf + at, (size_t)n - at, &used) != 1)
				continue;
			w.id[w.nreq % 256] = w.rd.hdr.req_id;
			w.type[w.nreq % 256] = w.rd.hdr.type;
			w.tx[w.nreq++ % 256] = w.rd.hdr.tx_id;
		}
	}
}

static void run(void)
{
	for (int i = 0; i < 3; i++)
		CHECK(loop_once(w.loop, 0) == 0);
	read_requests();
}

static const char *const words[] = {"OK", "a", "q", "b", "1", "2", "0:1", "1:2", "0:2", "2:3", "ENOENT", "EAGAIN", "EEXIST", "EINVAL",
				    "/w", "e", "T", "n0", "r1", "", "4294967296", "E2BIG", "@releaseDomain", "end"};

static uint32_t payload(struct input *in, char *p)
{
	unsigned how = (unsigned)take(in, 1), n = how % 4;
	size_t len = take_words(in, p, words, ARRAY_LEN(words), n, how & 0x80);

	if (how & 0x20)
		len += take_bytes(in, p + len, how & 0x40 ? 3900 : take(in, 1) % 64);
	return (uint32_t)len;
}

/* To the oldest of the last few requests, or to none; of its type, or another. */
static void reply(struct input *in)
{
	static char data[XENSTORE_PAYLOAD_MAX], frame[XS_FRAME_MAX];
	unsigned how = (unsigned)take(in, 1), back = how % 8;
	uint32_t i = (w.nreq - 1 - back) % 256, type = w.type[i], len = payload(in, data);
	size_t size, cut;

	if (how & 0x40)
		type = XS_ERROR;
	else if ((how & 0x38) == 0x38)
		type = (uint32_t)take(in, 1);
	else if ((how & 0x38) == 0x30)
		type = XS_WATCH_EVENT;
	size = xs_frame(frame, type, w.id[i], w.tx[i], data, len);
	if ((how & 0x38) == 0x28)
		take_bytes(in, frame, take(in, 1) % 16);
	cut = how & 0x80 ? take(in, 2) % size : 0;
	if (cut && send(w.srv, frame, cut, MSG_NOSIGNAL) > 0)
		run();
	if (w.srv >= 0)
		CHECK(send(w.srv, frame + cut, size - cut, MSG_NOSIGNAL) >= -1);
}

static void step(struct input *in)
{
	unsigned what = (unsigned)take(in, 1);

	switch (what % 8) {
	case 0:
	case 1:
		ask(in);
		break;
	case 2:
		w.now += take(in, 1) * 40 * NS_PER_MS;
		break;
	case 3:
		if (what & 0x80 && w.srv >= 0) {
			close(w.srv);
			w.srv = -1;
		}
		break;
	default:
		if (w.srv >= 0)
			reply(in);
	}
	run();
}

/* Long after every deadline all have been called back. */
static void end(void)
{
	for (int i = 0; i < 4; i++) {
		w.now += 100 * NS_PER_S;
		run();
	}
	for (unsigned i = 0; i < w.asked; i++)
		CHECK(w.calls[i] == 1);
	xsc_close(w.xs);
	if (w.srv >= 0)
		close(w.srv);
	loop_close(w.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 4096u)};
	struct xsc_cfg cfg = {.dial = dial};

	memset(&w, 0, sizeof(w));
	w.srv = -1;
	w.now = NS_PER_S;
	CHECK(loop_open(&w.loop) == 0);
	cfg.loop = w.loop;
	CHECK(xsc_open(&cfg, &w.xs) == 0);
	run();
	while (in.left)
		step(&in);
	end();
	return 0;
}
