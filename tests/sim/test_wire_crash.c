/* A pair whose ends die at every store, one death a run: no packet is torn, none comes twice but the one in doubt of a writer that
 * died, none is lost but the one under way of a reader that died, and only before its Ethernet type is stored. */
#include "backend/port/port.h"
#include "ring/base/check.h"
#include "ring/base/pm.h"
#include "ring/os/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/os/fdmsg.c"
#include "ring/os/wire.c"

#define PACKETS 14u
#define BATCH 3u
#define TYPE_AT (NETPORT_HDR + 12)

enum { WRITER, READER, ENDS };

static struct {
	unsigned stores, die_at; /* die_at: before which store; 0: never */
	bool armed;
	jmp_buf death;
} kill_at;

void pm_hook(const void *where, size_t len)
{
	(void)where;
	(void)len;
	if (kill_at.armed && ++kill_at.stores == kill_at.die_at)
		longjmp(kill_at.death, 1);
}

uint64_t clock_now(void) { return 1; }

void check_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: CHECK(%s) failed\n", file, line, what);
	abort();
}

/* What outlives the ends: the wire, and what their journals would hold. */
static struct world {
	int end[2];
	struct netport *port[ENDS];
	struct netport_queue *q[ENDS];
	uint32_t sent;			    /* writer's: so many are decided */
	uint32_t filled, len[2 * PACKETS];  /* reader's: so many buffers are full */
	char buf[2 * PACKETS][256] __attribute__((aligned(8)));
	char big[NETPORT_PACKET_MAX] __attribute__((aligned(8))); /* where it reads */
	unsigned deaths[ENDS];
	bool lost; /* a reader's death may have lost one */
} w;

static size_t packet(char *p, uint32_t number)
{
	size_t len = NETPORT_PACKET_MIN + 4 + number * 5 % 90;

	memset(p, (int)number + 1, len);
	memcpy(p + NETPORT_PACKET_MIN, &number, sizeof(number));
	return len;
}

static void open_end(unsigned who)
{
	int fd = dup(w.end[who]);
	struct netport_open o = {.spec = "pair", .fd = &fd, .queues = 1};

	assert_int_equal(netport_open(&o, &w.port[who], NULL, 0), 0);
	w.q[who] = netport_queue(w.port[who], 0);
	assert_int_equal(netport_start(w.q[who]), 0);
}

/* A few packets, each marked as sent after it was given. */
static void write_some(void)
{
	char p[256];

	for (unsigned i = 0; i < BATCH && w.sent < PACKETS; i++) {
		size_t len = packet(p, w.sent);

		if (netport_write(w.q[WRITER], p, len))
			break;
		pm_store32(&w.sent, w.sent + 1);
	}
	netport_kick(w.q[WRITER]);
}

static void keep(size_t len)
{
	assert_in_range(len, NETPORT_PACKET_MIN, sizeof(w.buf[0]));
	assert_true(w.filled < 2 * PACKETS);
	memcpy(w.buf[w.filled], w.big, len);
	w.len[w.filled] = (uint32_t)len;
}

static void read_some(void)
{
	ssize_t n;

	for (;;) {
		memset(w.big, 0, 256);
		n = netport_read(w.q[READER], w.big);
		if (n < 0)
			break;
		keep((size_t)n);
		pm_store32(&w.filled, w.filled + 1);
	}
	assert_int_equal(n, -EAGAIN);
	netport_kick(w.q[READER]);
}

/* What a successor of the reader finds in the buffer that was being filled. */
static void recover_reader(void)
{
	char want[256];
	uint32_t number;

	w.lost = w.big[TYPE_AT] == 0;
	if (w.lost)
		return;
	memcpy(&number, w.big + NETPORT_PACKET_MIN, sizeof(number));
	keep(packet(want, number));
	w.filled++;
}

static void run(uint64_t start, unsigned who, unsigned die_at)
{
	struct wire map;

	assert_int_equal(wire_make(WIRE_BYTES_MIN, w.end), 0);
	assert_int_equal(wire_open(w.end[0], &map), 0);
	map.mem->way[0].out.prod = map.mem->way[0].in.taken = map.mem->way[0].in.freed = start;
	wire_close(&map);
	w.sent = w.filled = 0;
	w.lost = false;
	w.deaths[WRITER] = w.deaths[READER] = 0;
	kill_at.stores = 0;
	kill_at.die_at = die_at;
	open_end(WRITER);
	open_end(READER);
	for (volatile unsigned turn = 0; turn < 4 * PACKETS; turn++) {
		volatile unsigned now = turn % 2;

		if (setjmp(kill_at.death) == 0) {
			kill_at.armed = now == who && !w.deaths[who];
			if (now == WRITER)
				write_some();
			else
				read_some();
			kill_at.armed = false;
			continue;
		}
		kill_at.armed = false;
		w.deaths[now]++;
		netport_close(w.port[now]);
		open_end(now);
		if (now == READER)
			recover_reader();
	}
}

static void check_run(void)
{
	char want[256];
	uint32_t next = 0, number;
	unsigned twice = 0, lost = 0;

	for (unsigned i = 0; i < w.filled; i++) {
		memcpy(&number, w.buf[i] + NETPORT_PACKET_MIN, sizeof(number));
		assert_true(number < PACKETS);
		assert_int_equal(w.len[i], packet(want, number));
		assert_memory_equal(w.buf[i], want, w.len[i]);
		if (number + 1 == next)
			twice++;
		else
			lost += number - next;
		assert_true(number + 1 >= next);
		next = number + 1;
	}
	lost += PACKETS - next;
	assert_true(twice <= w.deaths[WRITER]);
	assert_true(lost <= (w.lost ? w.deaths[READER] : 0));
	netport_close(w.port[WRITER]);
	netport_close(w.port[READER]);
	close(w.end[0]);
	close(w.end[1]);
}

static void test_every_store(void **state)
{
	/* Where the memory's end comes in the middle, and where 64 bits are over. */
	static const uint64_t starts[] = {0, WIRE_BYTES_MIN - 16, WIRE_BYTES_MIN - 448, 0 - (uint64_t)448};

	(void)state;
	for (size_t s = 0; s < 4; s++)
		for (unsigned who = 0; who < ENDS; who++)
			for (unsigned at = 1;; at++) {
				run(starts[s], who, at);
				check_run();
				if (!w.deaths[who]) {
					assert_true(at > 3 * PACKETS);
					break;
				}
			}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_store)};

	return cmocka_run_group_tests_name("wire, deaths", tests, NULL, NULL);
}
