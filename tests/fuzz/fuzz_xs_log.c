/* A store's log as a death, a full disk or a stranger left it: bytes, or items of the store's own kind with anything in
 * them. What is loaded passes the store's own count, and comes back the same from the log that is written then. */
#include "tests/fuzz/input.h"
#include "xenstore-glue/store/xs_log.h"
#include "xenstore-glue/store/xs_record.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int dir = -1;
static char dir_name[] = "/dev/shm/bulkhead-fuzz-XXXXXX";

static void leave(void)
{
	unlinkat(dir, XS_LOG_NAME, 0);
	rmdir(dir_name);
}

static void enter(void)
{
	if (dir >= 0)
		return;
	CHECK(mkdtemp(dir_name));
	dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir >= 0 && atexit(leave) == 0);
}

static const char *const paths[] = {"/", "/tool", "/tool/xenstored", "/a", "/a/b", "@introduceDomain", "@releaseDomain", "/a//b",
				    "/local", "a"};

/* One item, its parts from the input. */
static void item(struct xs_recbuf *b, struct input *in)
{
	unsigned what = (unsigned)take(in, 1);
	const char *path = paths[what / 8 % ARRAY_LEN(paths)];
	struct xs_perm perms[3];
	char data[64], children[64];
	struct xs_node n = {.refs = 1, .perms = perms, .data = data, .children = children};
	struct xs_dom d = {.domid = (uint16_t)(take(in, 1) % 5), .target = XS_DOMID_NONE};

	switch (what % 8) {
	case 0:
		xs_rec_rm(b, path, strlen(path));
		break;
	case 1:
		d.by_hub = what & 0x80;
		d.target = what & 0x40 ? (uint16_t)take(in, 2) : XS_DOMID_NONE;
		d.domid = what & 0x20 ? (uint16_t)take(in, 2) : d.domid;
		xs_rec_dom(b, &d);
		break;
	case 2:
		xs_rec_undom(b, d.domid);
		break;
	default:
		n.nperms = 1 + what / 64 % 3;
		memset(perms, 0, sizeof(perms));
		for (uint32_t i = 0; i < n.nperms; i++)
			perms[i].domid = (uint16_t)(i ? take(in, 2) : d.domid % 3);
		n.datalen = (uint32_t)take_bytes(in, data, take(in, 1) % sizeof(data));
		n.childlen = (uint32_t)take_bytes(in, children, take(in, 1) % sizeof(children));
		n.gen = take(in, 8);
		xs_rec_node(b, path, strlen(path), &n);
	}
}

/* The record of b goes behind what is in the file, with bytes of the input changed before it is sealed, or after. */
static void put(int fd, struct xs_recbuf *b, struct input *in, uint64_t serial)
{
	unsigned how = (unsigned)take(in, 1);

	if (xs_rec_end(b, take(in, 1)) >= 0 && b->len) {
		for (unsigned i = how % 4; i; i--)
			b->p[take(in, 2) % b->len] ^= (char)take(in, 1);
		if (!(how & 0x80))
			xs_rec_seal(b->p, b->len, serial);
		CHECK(write(fd, b->p, b->len) == (ssize_t)b->len);
	}
	xs_rec_free(b);
}

static void write_log(struct input *in, unsigned how)
{
	int fd = openat(dir, XS_LOG_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct xs_recbuf b;
	uint64_t serial = 0;

	CHECK(fd >= 0);
	if (how & 1) {
		CHECK(write(fd, in->at, in->left) == (ssize_t)in->left);
	} else {
		CHECK(write(fd, "bulkhead-store1", 16) == 16);
		while (in->left) {
			unsigned n = (unsigned)take(in, 1) % 6;

			xs_rec_begin(&b);
			while (n--)
				item(&b, in);
			put(fd, &b, in, ++serial);
		}
	}
	close(fd);
}

static int load(struct xs_store **st, struct xs_log **log, uint64_t *dropped)
{
	CHECK(xs_store_open(st, 1) == 0);
	return xs_log_open(log, dir, *st, dropped);
}

static void check_store(struct xs_store *st)
{
	char text[256] = "";

	if (xs_store_check(st, text, sizeof(text)))
		check_failed(__FILE__, __LINE__, text);
}

/* What was loaded was written anew: it is loaded again, and compared. */
static void check_comes_back(struct xs_store *st)
{
	struct xs_store *again;
	struct xs_log *log;
	uint64_t dropped;

	CHECK(load(&again, &log, &dropped) == 0 && dropped == 0);
	CHECK(again->nodes.count == st->nodes.count && again->gen == st->gen);
	for (struct xs_slot *s = xs_table_next(&st->nodes, NULL); s; s = xs_table_next(&st->nodes, s)) {
		const struct xs_node *a = CONTAINER_OF(s, struct xs_entry, slot)->node, *b;

		b = xs_store_get(again, s->path, s->len);
		CHECK(b && a->datalen == b->datalen && a->childlen == b->childlen && a->nperms == b->nperms);
		CHECK(!a->datalen || !memcmp(a->data, b->data, a->datalen));
		CHECK(!a->childlen || !memcmp(a->children, b->children, a->childlen));
	}
	check_store(again);
	xs_log_close(log);
	xs_store_close(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint64_t dropped;
	struct xs_store *st;
	struct xs_log *log;
	int rc;

	enter();
	write_log(&in, (unsigned)take(&in, 1));
	rc = load(&st, &log, &dropped);
	CHECK(rc == 0 || rc == -EBADMSG);
	if (rc == 0) {
		check_store(st);
		check_comes_back(st);
		xs_log_close(log);
	}
	xs_store_close(st);
	return 0;
}
