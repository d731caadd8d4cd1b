/* Keys that are wrong while a connection is made (blkif.h, "Frontend XenBus nodes"; XSA-175 for those of the toolstack). */
#include "tests/blkif/suite.h"

#include <string.h>

#define S(n) BIT(XenbusState##n)

/* What became of the attempt. A backend that connects in spite of it must still be one. */
static void outcome(struct disk *d)
{
	uint64_t until = clock_now() + suite.patience / 2;
	unsigned s;

	do {
		nap_us(1000);
		s = back_state(d);
	} while (s != XenbusStateConnected && s != XenbusStateClosing && s != XenbusStateClosed && !back_has_error(d) &&
		 clock_now() < until);
	if (s == XenbusStateConnected && !back_has_error(d)) {
		enum got got = good_io(d, &d->q[0]);

		did("connected");
		did("%s", got == GOT_OKAY ? "served" : got_name[got]);
		case_ends();
	}
	did(s == XenbusStateClosing || s == XenbusStateClosed ? "refused" : back_has_error(d) ? "refused" : "waits");
	case_ends();
}

static void try(struct disk *d)
{
	disk_make(d, &d->want);
	disk_ask(d, &d->want);
	outcome(d);
}

/* A grant of a page that another domain may map, and one of ours that it may not write. */
static void try_gref(struct disk *d, unsigned n)
{
	char val[16];

	disk_make(d, &d->want);
	snprintf(val, sizeof(val), "%u", d->gref[n]);
	d->want.key = "ring-ref";
	d->want.val = val;
	disk_ask(d, &d->want);
	outcome(d);
}

static void ring_foreign(struct disk *d) { try_gref(d, 16 + LIST_PAGES + 1); }

static void ring_read_only(struct disk *d) { try_gref(d, 16 + LIST_PAGES); }

static void ring_twice(struct disk *d)
{
	char val[16];

	disk_make(d, &d->want);
	snprintf(val, sizeof(val), "%u", d->q[0].gref[0]);
	d->want.key = "ring-ref1";
	d->want.val = val;
	disk_ask(d, &d->want);
	outcome(d);
}

static void key_long(struct disk *d)
{
	char val[1501];

	memset(val, '7', sizeof(val) - 1);
	val[sizeof(val) - 1] = 0;
	d->want.val = val;
	try(d);
}

static void order_over(struct disk *d)
{
	char val[16];

	snprintf(val, sizeof(val), "%u", (unsigned)d->offer.max_order + 1);
	d->want.val = val;
	try(d);
}

static void queues_over(struct disk *d)
{
	char val[16];

	snprintf(val, sizeof(val), "%u", (unsigned)MAX(d->offer.max_queues, 1u) + 1);
	d->want.val = val;
	try(d);
}

/* The toolstack wrote these into a directory that is the guest's: what they say afterwards is the guest's word. */
static void try_and_put_back(struct disk *d, const char *key, const char *val)
{
	char was[200];

	need(xsc_sync_read(d->xs, in_dir(d->front, key), was, sizeof(was)), key);
	set_key(d, key, val);
	disk_make(d, &(struct want){0});
	disk_ask(d, &(struct want){0});
	back_gets(d, S(Connected) | S(Closing) | S(Closed), suite.patience / 2);
	set_key(d, key, was);
	outcome(d);
}

static void backend_rewritten(struct disk *d) { try_and_put_back(d, "backend", "/local/domain/0/backend/vbd/0/51712"); }
static void backend_id_rewritten(struct disk *d) { try_and_put_back(d, "backend-id", "7"); }
static void device_rewritten(struct disk *d) { try_and_put_back(d, "virtual-device", "4294967295"); }

/* What the suite's own directory of the backend says may not be changed by us. */
static void backend_is_not_ours(struct disk *d)
{
	static const char *const key[] = {"state", "online", "params", "sectors", "mode", "frontend"};

	for (size_t i = 0; i < ARRAY_LEN(key); i++)
		if (xsc_sync_write(d->xs, in_dir(d->back, key[i]), "0") == 0)
			case_fails("the frontend may write the backend's key %s", key[i]);
	still_served(d);
}

#define WRONG(name_, key_, val_, says_, ours_) \
	{.name = "setup." name_, .says = says_, .ours = ours_, .bare = true, .want = {.key = key_, .val = val_}, .run = try}
#define NUMBER "Frontend XenBus nodes: a uint32_t in decimal"
static const struct test tests[] = {
	WRONG("ring_missing", "ring-ref", NULL, "ring-ref: one page's grant is needed", "refused"),
	/* On Xen 0 is the console's page, which dom0 may map: a ring, if not one of ours. */
	WRONG("ring_0", "ring-ref", "0", "A grant reference of something else, or of nothing", "refused|connected+silent"),
	WRONG("ring_bogus", "ring-ref", "12513024", "A grant reference that grants nothing", "refused"),
	WRONG("ring_max", "ring-ref", "4294967295", "A grant reference that grants nothing", "refused"),
	WRONG("ring_negative", "ring-ref", "-1", NUMBER, "refused"),
	WRONG("ring_text", "ring-ref", "eight", NUMBER, "refused"),
	WRONG("ring_empty", "ring-ref", "", NUMBER, "refused"),
	WRONG("ring_huge", "ring-ref", "18446744073709551617", NUMBER, "refused"),
	{"setup.ring_long", "A value of 1500 digits", "refused", .bare = true, .want = {.key = "ring-ref"}, .run = key_long},
	{"setup.ring_foreign", "A page granted to another domain", "refused", .bare = true, .run = ring_foreign},
	{"setup.ring_read_only", "A ring that the backend may not write", "refused", .bare = true, .run = ring_read_only},
	{"setup.ring_twice", "One page twice in a ring of two", "refused", .needs = NEED_RING_2, .bare = true, .want = {.order = 1},
	 .run = ring_twice},
	{"setup.order_over", "ring-page-order: at most max-ring-page-order", "refused", .bare = true,
	 .want = {.key = "ring-page-order"}, .run = order_over},
	WRONG("order_20", "ring-page-order", "20", "ring-page-order: at most max-ring-page-order", "refused"),
	WRONG("order_4294967295", "ring-page-order", "4294967295", "ring-page-order: at most max-ring-page-order", "refused"),
	WRONG("order_text", "ring-page-order", "one", NUMBER, "refused"),
	WRONG("pages_3", "num-ring-pages", "3", "num-ring-pages: a power of two", "refused"),
	WRONG("pages_0", "num-ring-pages", "0", "num-ring-pages: a power of two", "refused"),
	WRONG("queues_0", "multi-queue-num-queues", "0", "Multiple queues: greater than zero", "refused"),
	{"setup.queues_over", "Multiple queues: at most multi-queue-max-queues", "refused", .bare = true,
	 .want = {.key = "multi-queue-num-queues"}, .run = queues_over},
	WRONG("queues_4294967295", "multi-queue-num-queues", "4294967295", "Multiple queues: at most multi-queue-max-queues",
	      "refused"),
	WRONG("queues_text", "multi-queue-num-queues", "two", NUMBER, "refused"),
	WRONG("queues_2_of_1", "multi-queue-num-queues", "2", "Multiple queues: each has keys of its own below queue-N", "refused"),
	WRONG("port_missing", "event-channel", NULL, "event-channel: a port is needed", "refused"),
	WRONG("port_0", "event-channel", "0", "A port that is none", "refused"),
	WRONG("port_none", "event-channel", "4000", "A port that nobody has offered", "refused"),
	WRONG("port_huge", "event-channel", "4294967295", "A port that cannot be", "refused"),
	WRONG("port_text", "event-channel", "door", NUMBER, "refused"),
	WRONG("protocol_unknown", "protocol", "sparc-abi", "protocol: one of XEN_IO_PROTO_ABI_*", "refused"),
	WRONG("protocol_empty", "protocol", "", "protocol: one of XEN_IO_PROTO_ABI_*", "refused"),
	WRONG("persistent_text", "feature-persistent", "yes", "feature-persistent: 0 or 1", "refused"),
	WRONG("persistent_2", "feature-persistent", "2", "feature-persistent: 0 or 1", "connected+served"),
	{"setup.backend_rewritten", "XSA-175: which backend serves a device is not the guest's to say", "connected+served", .bare = true,
	 .run = backend_rewritten},
	{"setup.backend_id_rewritten", "XSA-175: the same of the backend's domain", "connected+served", .bare = true,
	 .run = backend_id_rewritten},
	{"setup.device_rewritten", "XSA-175: the same of the device's number", "connected+served", .bare = true,
	 .run = device_rewritten},
	{"setup.backend_not_ours", "The backend's directory is not the frontend's to write", "served", .run = backend_is_not_ours},
};
const struct topic topic_setup = {tests, ARRAY_LEN(tests)};
