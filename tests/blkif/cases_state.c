/* Life and end of a connection, as frontends do it and as they should not (blkif.h, "State diagrams"; kexec's 5-6-1). */
#include "tests/blkif/suite.h"

#include "ring/base/err.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define S(n) BIT(XenbusState##n)

static void io_works(struct disk *d, const char *when)
{
	enum got got = good_io(d, &d->q[0]);

	if (got != GOT_OKAY)
		case_fails("%s: %s", when, got_name[got]);
	did("io");
}

/* The word for the backend's state, once it is one of these. */
static void back_is(struct disk *d, unsigned states)
{
	if (!back_gets(d, states, suite.patience))
		case_fails("the backend stays in state %u", back_state(d));
	did("b%u", back_state(d));
}

static void normal(struct disk *d)
{
	io_works(d, "connected");
	set_state(d, XenbusStateClosing);
	back_is(d, S(Closing) | S(Closed));
	set_state(d, XenbusStateClosed);
	back_is(d, S(Closed));
	if (!disk_release(d))
		case_fails("closed, but a page is still mapped");
}

static void without_5(struct disk *d)
{
	io_works(d, "connected");
	set_state(d, XenbusStateClosed);
	back_is(d, S(Closed));
}

/* The second connection is made by the same process, on pages of its own. */
static void kexec(struct disk *d)
{
	io_works(d, "connected");
	set_state(d, XenbusStateClosing);
	back_is(d, S(Closing) | S(Closed));
	set_state(d, XenbusStateClosed);
	back_is(d, S(Closed));
	set_state(d, XenbusStateInitialising);
	back_is(d, S(InitWait));
	disk_connect(d, &d->want);
	io_works(d, "connected again");
}

static void fill_ring(struct disk *d, uint8_t op)
{
	for (unsigned i = 0; i < d->q[0].entries; i++) {
		union request r = direct(d, op, 11, 8 + i * 88);

		r.rw.id = i;
		put(d, &d->q[0], &r);
	}
	show(&d->q[0]);
}

/* What is in flight may be answered or not, but once the backend is Closed nothing of it may touch our pages. */
static void in_flight(struct disk *d)
{
	fill_ring(d, BLKIF_OP_READ);
	set_state(d, XenbusStateClosing);
	set_state(d, XenbusStateClosed);
	back_is(d, S(Closed));
	memset(d->data, 0xd7, 11 * BH_PAGE_SIZE);
	nap_us(50000);
	for (unsigned i = 0; i < 11 * BH_PAGE_SIZE; i++)
		if (d->data[i] != 0xd7)
			case_fails("Closed, but byte %u of a page was written afterwards", i);
	if (!disk_release(d))
		case_fails("closed, but a page is still mapped");
	did("quiet");
}

static void from_4_to_1(struct disk *d)
{
	io_works(d, "connected");
	set_state(d, XenbusStateInitialising);
	back_gets(d, (unsigned)~S(Connected), suite.patience / 6);
	back_gets(d, S(InitWait), suite.patience / 6);
	did("b%u", back_state(d));
}

/* Which ring is served afterwards? */
static void from_4_to_3(struct disk *d)
{
	struct disk old = *d;
	enum got got;

	io_works(d, "connected");
	old.q[0] = d->q[0];
	nap_us(100000); /* a suspend takes longer */
	disk_make(d, &d->want);
	disk_ask(d, &d->want);
	back_gets(d, (unsigned)~S(Connected), suite.patience / 6);
	back_gets(d, S(Connected), suite.patience / 2);
	did("b%u", back_state(d));
	if (back_state(d) != XenbusStateConnected)
		return;
	set_state(d, XenbusStateConnected);
	got = good_io(d, &d->q[0]);
	if (got == GOT_SILENT)
		did(good_io(&old, &old.q[0]) == GOT_OKAY ? "old" : "silent");
	else
		did("%s", got == GOT_OKAY ? "new" : got_name[got]);
}

/* A frontend that does not wait for InitWait and says Connected at once. */
static void from_1_to_4(struct disk *d)
{
	disk_make(d, &d->want);
	disk_write_keys(d, &d->want);
	set_state(d, XenbusStateConnected);
	back_gets(d, S(Connected) | S(Closing) | S(Closed), suite.patience / 6);
	did("b%u", back_state(d));
	if (back_state(d) == XenbusStateConnected)
		still_served(d);
}

static void state_before_keys(struct disk *d)
{
	disk_make(d, &d->want);
	set_state(d, XenbusStateInitialised);
	back_gets(d, S(Closing) | S(Closed), suite.patience / 6);
	did("b%u", back_state(d));
	disk_write_keys(d, &d->want);
	set_state(d, XenbusStateInitialised);
	back_gets(d, S(Connected), suite.patience / 6);
	did("b%u", back_state(d));
}

static void closing_while_connecting(struct disk *d)
{
	disk_make(d, &d->want);
	for (unsigned i = 0; i < 3; i++) {
		disk_ask(d, &d->want);
		nap_us(chance(d, 3000));
		set_state(d, XenbusStateClosing);
		nap_us(chance(d, 3000));
		set_state(d, XenbusStateClosed);
		back_is(d, S(Closed));
		set_state(d, XenbusStateInitialising);
		back_is(d, S(InitWait));
	}
}

static void twenty_times(struct disk *d)
{
	for (unsigned i = 0; i < 20; i++) {
		disk_connect(d, &d->want);
		if (good_io(d, &d->q[0]) != GOT_OKAY)
			case_fails("connection %u does not work", i);
		if (!disk_close(d))
			case_fails("connection %u is not closed: state %u", i, back_state(d));
		disk_release(d);
		set_state(d, XenbusStateInitialising);
		if (!back_gets(d, S(InitWait), suite.patience))
			case_fails("after connection %u: state %u", i, back_state(d));
	}
	did("io");
}

static void stays_3(struct disk *d)
{
	disk_make(d, &d->want);
	disk_ask(d, &d->want);
	back_is(d, S(Connected));
	still_served(d);
}

/* States that a connected frontend has no business in, but which are no wish to end. */
static void ignored(struct disk *d)
{
	static const unsigned to[] = {7, 8, 4};

	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		set_state(d, to[i]);
		nap_us(20000);
		did("%u", to[i]);
		if (good_io(d, &d->q[0]) != GOT_OKAY)
			still_served(d);
	}
	still_served(d);
}

static void write_state(struct disk *d, const char *val)
{
	set_key(d, "state", val);
	back_gets(d, (unsigned)~S(Connected), suite.patience / 6);
	if (back_state(d) == XenbusStateClosing)
		back_gets(d, (unsigned)~S(Closing), suite.patience / 6);
	did("b%u", back_state(d));
	if (back_state(d) == XenbusStateConnected)
		still_served(d);
}

static void unknown_0(struct disk *d) { write_state(d, "0"); }
static void number_9(struct disk *d) { write_state(d, "9"); }
static void negative(struct disk *d) { write_state(d, "-1"); }
static void text(struct disk *d) { write_state(d, "four"); }
static void empty(struct disk *d) { write_state(d, ""); }
static void huge(struct disk *d) { write_state(d, "99999999999999999999"); }
static void state_removed(struct disk *d) { write_state(d, NULL); }

static void flap(struct disk *d)
{
	static const unsigned to[] = {3, 5, 6, 1, 3};

	for (unsigned i = 0; i < 200; i++) {
		set_state(d, to[chance(d, ARRAY_LEN(to))]);
		nap_us(chance(d, 2000));
	}
	did("flapped");
}

static void flood(struct disk *d)
{
	uint64_t until = clock_now() + suite.patience / 2;

	for (unsigned i = 0; i < 3000 && clock_now() < until; i += 50) {
		for (unsigned k = 0; k < 49; k++)
			xsc_write(d->xs, 0, in_dir(d->front, "state"), "4", 1, NULL, NULL);
		set_state(d, XenbusStateConnected);
	}
	if (front_state(d) != XenbusStateConnected)
		case_fails("the last of many writes is not what stands in the store");
	still_served(d);
}

/* Whatever a frontend may remove below its directory, and puts back a little later. */
static void keys_removed(struct disk *d)
{
	static const char *const key[] = {"ring-ref", "event-channel", "feature-persistent", "backend", "backend-id",
					  "virtual-device", "device-type"};
	char val[ARRAY_LEN(key)][200];

	for (size_t i = 0; i < ARRAY_LEN(key); i++) {
		if (xsc_sync_read(d->xs, in_dir(d->front, key[i]), val[i], sizeof(val[i])))
			val[i][0] = 0;
		if (xsc_sync_rm(d->xs, in_dir(d->front, key[i])) == -EACCES)
			val[i][0] = 0;
	}
	nap_us(100000);
	for (size_t i = 0; i < ARRAY_LEN(key); i++)
		if (val[i][0])
			set_key(d, key[i], val[i]);
	did("b%u", back_state(d));
	if (back_state(d) == XenbusStateConnected)
		still_served(d);
}

static void dies(struct disk *d)
{
	uint64_t until = clock_now() + (5 + chance(d, 20)) * NS_PER_MS;
	struct queue *q = &d->q[0];

	did("dies");
	for (;;) {
		while (q->prod - q->cons < q->entries) {
			union request r = direct(d, suite.writable ? BLKIF_OP_WRITE : BLKIF_OP_READ, 11, 8 + chance(d, 64) * 88);

			r.rw.id = ++d->id;
			put(d, q, &r);
		}
		show(q);
		if (wait_answers(d, q, 1) != GOT_OKAY)
			case_fails("no answers");
		q->cons++;
		if (clock_now() > until)
			kill(getpid(), SIGKILL);
	}
}

static void directory_removed(struct disk *d)
{
	int rc = xsc_sync_rm(d->xs, d->front);

	if (rc)
		case_is_na("the store does not let us: %s", err_str(rc));
	back_gets(d, S(Unknown) | S(Closed), suite.patience);
	did("b%u", back_state(d));
}

static const struct test tests[] = {
	{"state.normal", "State diagrams: 1-3-4, then 5 is followed by 5 or 6, 6 by 6; then every page is the frontend's again",
	 "io+b5+b6", .run = normal},
	{"state.close_without_5", "State diagrams: a frontend may go from 4 to 6", "io+b6", .run = without_5},
	{"state.kexec", "A new kernel ends the old one's connection by 5-6-1 and meets 5, 6, 2", "io+b5+b6+b2", .run = kexec},
	{"state.close_in_flight", "Once the backend is Closed, no request of that connection touches a page", "b6+quiet",
	 .run = in_flight},
	{"state.from_4_to_1", "A frontend that begins anew without closing must not get a half-open device", "io+b6|io+b2",
	 .run = from_4_to_1},
	{"state.from_1_to_4", "State diagrams: Initialised may be skipped only where nothing is negotiated", "b2", .bare = true,
	 .run = from_1_to_4},
	{"state.before_keys", "State diagrams: transport parameters are published before Initialised", NULL, .bare = true,
	 .run = state_before_keys},
	{"state.close_connecting", "A frontend may give up while the backend connects", "b6+b2", .bare = true,
	 .run = closing_while_connecting},
	{"state.twenty_times", "Reconnecting needs no pause", "io", .bare = true, .run = twenty_times},
	{"state.stays_3", "A backend that is Connected serves, whether the frontend says so too or not", "b4+served", .bare = true,
	 .run = stays_3},
	{"state.from_4_to_3", "A guest that was suspended asks anew on a new ring, without closing the old one", "io+b4+new",
	 .run = from_4_to_3},
	{"state.ignored", "Reconfiguring and Reconfigured of a connected frontend change nothing", "7+8+4+served", .run = ignored},
	{"state.unknown_0", "Common sense: state 0 of a frontend ends the connection, not the device", "b6", .run = unknown_0},
	{"state.number_9", "Common sense: a state that is none is no more than the end of the connection", "b6", .run = number_9},
	{"state.negative", "The same of a negative number", "b6", .run = negative},
	{"state.text", "The same of a word", "b6", .run = text},
	{"state.empty", "The same of nothing", "b6", .run = empty},
	{"state.huge", "The same of a number of 20 digits", "b6", .run = huge},
	{"state.removed", "The same of a node that is not there", "b6", .run = state_removed},
	{"state.flap", "XSA-350: quick changes leave nothing behind that keeps the device from working", "flapped", .bare = true,
	 .run = flap},
	{"state.flood", "XSA-349: a state written thousands of times is a state", "served", .run = flood},
	{"state.keys_removed", "The keys of a connection are read when it is made", "b4+served", .run = keys_removed},
	{"state.dies", "A frontend that is killed with a full ring leaves a device that works", "dies", .needs = DEAD_AFTER,
	 .run = dies},
	{"state.dies_persistent", "The same with pages that stay mapped", "dies", .needs = DEAD_AFTER, .want = {.persistent = true},
	 .run = dies},
	{"state.directory_removed", "A frontend that is gone is closed", NULL, .needs = NEED_DESTROY, .run = directory_removed},
};
const struct topic topic_state = {tests, ARRAY_LEN(tests)};
