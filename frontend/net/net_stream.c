#include "frontend/net/net_stream.h"

#include "ring/base/barrier.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT 0xb1d6u
#define ETH 14u
#define BODY (ETH + 20u + 8u)
#define ROOM_FIRST (1u << 20)
#define GAPS_MAX 100000u
#define MAGIC 0x62756c6b6865616eull

/* Behind UDP's header; then words that follow from it. */
struct stamp {
	uint64_t magic, seed, number;
	uint32_t stream, len;
	uint64_t check;
};
static_assert(BODY + sizeof(struct stamp) == NET_VERIFY_SIZE_MIN, "the least packet has a whole stamp");

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

int net_stream_open(struct net_stream *s, uint64_t seed, uint32_t id, const uint8_t src[6], const uint8_t dst[6])
{
	*s = (struct net_stream){.seed = seed, .id = id, .lock = PTHREAD_MUTEX_INITIALIZER};
	memcpy(s->src, src, 6);
	memcpy(s->dst, dst, 6);
	s->seen = calloc(ROOM_FIRST / 8, 1);
	s->gap = calloc(GAPS_MAX, sizeof(*s->gap));
	s->room = ROOM_FIRST;
	return s->seen && s->gap ? 0 : -ENOMEM;
}

void net_stream_close(struct net_stream *s)
{
	free(s->seen);
	free(s->gap);
}

/* ---- packets ---- */

static void make_headers(const struct net_stream *s, uint8_t *f, uint32_t len)
{
	static const uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2};
	uint32_t sum = 0;

	memcpy(f, s->dst, 6);
	memcpy(f + 6, s->src, 6);
	put16(f + 12, 0x0800);
	memcpy(f + ETH, ip, sizeof(ip));
	put16(f + ETH + 2, len - ETH);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)f[ETH + i] << 8 | f[ETH + i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(f + ETH + 10, ~(sum + (sum >> 16)));
	put16(f + ETH + 20, PORT + s->id); /* different flows, for who spreads them over queues */
	put16(f + ETH + 22, PORT);
	put16(f + ETH + 24, len - ETH - 20);
	put16(f + ETH + 26, 0);
}

static struct stamp make_stamp(const struct net_stream *s, uint64_t number, uint32_t len)
{
	struct stamp t = {.magic = MAGIC, .seed = s->seed, .number = number, .stream = s->id, .len = len};

	t.check = mix(s->seed ^ mix(number ^ mix((uint64_t)s->id << 32 | len)));
	return t;
}

/* The words behind the stamp; the last may be a part of one. False: they are others (only looked at, not written). */
static bool words(uint8_t *at, uint32_t n, uint64_t key, bool write)
{
	for (; n >= 8; at += 8, n -= 8) {
		key += 0x9e3779b97f4a7c15ull;
		if (write)
			memcpy(at, &key, 8);
		else if (memcmp(at, &key, 8))
			return false;
	}
	if (write)
		memset(at, 0x5a, n);
	for (; n > 0; n--)
		if (at[n - 1] != 0x5a)
			return false;
	return true;
}

void net_stream_make(struct net_stream *s, uint8_t *frame, uint32_t len)
{
	struct stamp t = make_stamp(s, s->sent, len);

	make_headers(s, frame, len);
	memcpy(frame + BODY, &t, sizeof(t));
	words(frame + NET_VERIFY_SIZE_MIN, len - NET_VERIFY_SIZE_MIN, t.check, true);
	store_relaxed(&s->sent, s->sent + 1);
}

int net_stream_of(const uint8_t *f, uint32_t len, unsigned n)
{
	uint32_t id;

	if (len < NET_VERIFY_SIZE_MIN || f[12] != 8 || f[13] != 0 || f[ETH] != 0x45 || f[ETH + 9] != 17)
		return -ENOENT;
	if (((uint32_t)f[ETH + 22] << 8 | f[ETH + 23]) != PORT)
		return -ENOENT;
	id = ((uint32_t)f[ETH + 20] << 8 | f[ETH + 21]) - PORT;
	return id < n ? (int)id : -ENOENT;
}

/* ---- books ---- */

static int make_seen(struct net_stream *s, uint64_t number)
{
	uint64_t room = s->room;
	uint8_t *seen;

	if (number < room)
		return 0;
	while (number >= room)
		room *= 2;
	seen = realloc(s->seen, room / 8);
	if (!seen)
		return -ENOMEM;
	memset(seen + s->room / 8, 0, (room - s->room) / 8);
	s->seen = seen;
	s->room = room;
	return 0;
}

static bool is_whole(const struct net_stream *s, const uint8_t *f, uint32_t len, uint64_t *number)
{
	struct stamp t, want;

	memcpy(&t, f + BODY, sizeof(t));
	want = make_stamp(s, t.number, len);
	*number = t.number;
	if (memcmp(&t, &want, sizeof(t)) || t.number >= load_relaxed(&s->sent))
		return false;
	return memcmp(f, s->dst, 6) == 0 && memcmp(f + 6, s->src, 6) == 0 &&
	       words((uint8_t *)(uintptr_t)f + NET_VERIFY_SIZE_MIN, len - NET_VERIFY_SIZE_MIN, t.check, false);
}

static void book_gap(struct net_stream *s, uint64_t now, uint64_t outage_ns)
{
	uint64_t gap = now - s->last_ns;

	if (s->last_ns && outage_ns) {
		s->way.gap_max = MAX(s->way.gap_max, gap);
		if (gap >= outage_ns) {
			if (s->way.outages < GAPS_MAX)
				s->gap[s->way.outages] = gap;
			s->way.outages++;
		}
	}
	s->last_ns = now;
}

static void book(struct net_stream *s, uint64_t number, uint32_t len)
{
	uint8_t *at = &s->seen[number / 8], bit = (uint8_t)(1u << (number % 8));

	if (*at & bit) {
		s->way.repeated++;
		return;
	}
	*at |= bit;
	s->way.received++;
	s->way.bytes += len;
	if (number < s->next)
		s->way.reordered++;
	s->next = MAX(s->next, number + 1);
}

int net_stream_came(struct net_stream *s, const uint8_t *frame, uint32_t len, uint64_t now, uint64_t outage_ns)
{
	uint64_t number;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (!is_whole(s, frame, len, &number)) {
		s->way.corrupted++;
	} else {
		rc = make_seen(s, number);
		if (!rc)
			book(s, number, len);
		book_gap(s, now, outage_ns);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

uint64_t net_stream_missing(struct net_stream *s)
{
	uint64_t n;

	pthread_mutex_lock(&s->lock);
	n = load_relaxed(&s->sent) - s->way.received;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void net_stream_sum(struct net_stream *s)
{
	uint64_t run = 0, n = MIN(s->way.outages, (uint64_t)GAPS_MAX);

	s->way.sent = s->sent;
	for (uint64_t i = 0; i < s->sent; i++) {
		run = i < s->room && s->seen[i / 8] & 1u << (i % 8) ? 0 : run + 1;
		s->way.lost += run > 0;
		s->way.lost_longest = MAX(s->way.lost_longest, run);
	}
	qsort(s->gap, n, sizeof(*s->gap), by_size);
	if (n) {
		s->way.outage_p50 = s->gap[n / 2];
		s->way.outage_p99 = s->gap[n * 99 / 100];
	}
}
