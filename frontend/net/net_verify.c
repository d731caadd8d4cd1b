#include "frontend/net/net_verify.h"

#include "frontend/net/net_stream.h"
#include "ring/base/barrier.h"
#include "ring/base/conn.h"
#include "ring/os/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64u	       /* packets of one direction before the other gets its turn */
#define LOOK_MS 50
/* After the last was sent: looks in a row that found nothing, after which nothing will come; more when something is missing, for a
 * backend may just be dead. They are counted, since the clock goes on while the machine stands still. */
#define SETTLE_LOOKS 10u
#define SETTLE_MISSING 60u

struct verify {
	const struct net_verify_opts *o;
	struct net_stream stream[2][CONN_QUEUES_MAX];
	unsigned queues, mtu;
	uint64_t begun, until;
	uint64_t stopped; /* when somebody first saw that it is over */
	int rc;
};

/* One queue of one end: it sends one stream, and receives what comes. */
struct lane {
	struct verify *v;
	struct netfront_queue *q;
	struct net_stream *out, *in; /* in: the streams of the other direction */
	bool sends, held;
	unsigned idle; /* looks in a row, after the last was sent */
	uint32_t held_len;
	uint64_t rng, errors, foreign;
	pthread_t thread;
	uint8_t from[NETFRONT_FRAME_MAX + 1], to[NETFRONT_FRAME_MAX + 1];
};

static bool over(const struct verify *v, uint64_t now)
{
	return now >= load_relaxed(&v->until) || (v->o->stop && load_relaxed(v->o->stop));
}

static bool sending(const struct lane *l, uint64_t now) { return l->sends && !over(l->v, now); }

static uint32_t next_size(struct lane *l)
{
	uint32_t most = MIN(l->v->mtu + 14, NETFRONT_FRAME_MAX);

	if (l->v->o->size)
		return l->v->o->size;
	l->rng = l->rng * 6364136223846793005ull + 1442695040888963407ull;
	return NET_VERIFY_SIZE_MIN + (uint32_t)(l->rng >> 33) % (most - NET_VERIFY_SIZE_MIN + 1);
}

/* Packets that may have been sent by now. */
static uint64_t allowed(const struct lane *l, uint64_t now)
{
	double seconds = (double)(now - l->v->begun) / (double)NS_PER_S;

	return l->v->o->rate ? (uint64_t)(seconds * (double)l->v->o->rate) + 1 : UINT64_MAX;
}

/* How many were sent, or why the device has ended. */
static int send_some(struct lane *l, uint64_t now)
{
	struct virtio_net_hdr h = {0};
	unsigned n = 0;
	int rc;

	for (; n < BATCH && (l->held || (sending(l, now) && l->out->sent < allowed(l, now))); n++) {
		if (!l->held) {
			l->held_len = next_size(l);
			net_stream_make(l->out, l->to, l->held_len);
		}
		rc = netfront_send(l->q, &h, l->to, l->held_len);
		l->held = rc == -EAGAIN;
		if (rc == -EAGAIN)
			break;
		if (rc)
			return rc;
	}
	return (int)n;
}

static int receive_some(struct lane *l)
{
	struct virtio_net_hdr h;
	unsigned n = 0;
	int len, at;

	for (; n < BATCH; n++) {
		len = netfront_recv(l->q, &h, l->from);
		if (len <= 0)
			return len ? len : (int)n;
		at = net_stream_of(l->from, (uint32_t)len, l->v->queues);
		if (at < 0)
			l->foreign++;
		else if (net_stream_came(&l->in[at], l->from, (uint32_t)len, clock_now(),
					 over(l->v, clock_now()) ? 0 : l->v->o->outage_ns))
			return -ENOMEM;
	}
	return (int)n;
}

/* How long to sleep at most: until the next one is due. */
static struct timespec patience(const struct lane *l, uint64_t now)
{
	uint64_t ns = LOOK_MS * NS_PER_MS, due;

	if (l->v->o->rate && !l->held && sending(l, now)) {
		due = l->v->begun + (uint64_t)((double)l->out->sent / (double)l->v->o->rate * (double)NS_PER_S);
		ns = due > now ? MIN(due - now, ns) : 0;
	}
	return (struct timespec){.tv_nsec = (long)ns};
}

static bool all_came(struct verify *v)
{
	bool all = true;

	for (unsigned i = 0; i < 2 * v->queues; i++)
		all = all && net_stream_missing(&v->stream[i % 2][i / 2]) == 0;
	return all;
}

/* Nothing was there to do. True: nothing will be. */
static bool settled(struct lane *l, uint64_t now)
{
	struct verify *v = l->v;

	if (!over(v, now))
		return false;
	if (load_relaxed(&v->stopped) == UINT64_MAX)
		store_relaxed(&v->stopped, now);
	l->idle++;
	return l->idle > SETTLE_MISSING || (l->idle > SETTLE_LOOKS && all_came(v));
}

static void *lane_main(void *arg)
{
	struct lane *l = arg;
	struct verify *v = l->v;
	int in = 0, out = 0, rc = 0;

	for (;;) {
		uint64_t now = clock_now();

		out = send_some(l, now);
		in = receive_some(l);
		rc = netfront_poll(l->q);
		if (in < 0 || out < 0 || rc < 0)
			break;
		if (in > 0 || out > 0 || rc > 0)
			l->idle = 0;
		else if (!netfront_arm(l->q, l->held)) {
			struct pollfd p = {.fd = netfront_fd(l->q), .events = POLLIN};
			struct timespec ts = patience(l, now);

			if (ppoll(&p, 1, &ts, NULL) == 0 && settled(l, now))
				return NULL;
		}
	}
	store_relaxed(&v->rc, rc < 0 ? rc : in < 0 ? in : out);
	return NULL;
}

static void add_way(struct net_verify_way *sum, const struct net_verify_way *w)
{
	sum->sent += w->sent;
	sum->received += w->received;
	sum->lost += w->lost;
	sum->repeated += w->repeated;
	sum->reordered += w->reordered;
	sum->corrupted += w->corrupted;
	sum->bytes += w->bytes;
	sum->outages += w->outages;
	sum->lost_longest = MAX(sum->lost_longest, w->lost_longest);
	sum->outage_p50 = MAX(sum->outage_p50, w->outage_p50);
	sum->outage_p99 = MAX(sum->outage_p99, w->outage_p99);
	sum->gap_max = MAX(sum->gap_max, w->gap_max);
}

static void sum_up(struct verify *v, struct lane *const lane[2][CONN_QUEUES_MAX], struct net_verify_result *res)
{
	struct netfront_stats stats;

	for (unsigned side = 0; side < 2; side++)
		for (unsigned i = 0; i < v->queues; i++) {
			net_stream_sum(&v->stream[side][i]);
			add_way(&res->way[side], &v->stream[side][i].way);
			netfront_get_stats(lane[side][i]->q, &stats);
			res->way[side].refused += stats.tx_errors - lane[side][i]->errors;
			res->way[!side].foreign += lane[side][i]->foreign;
		}
	res->rc = v->rc;
	res->seconds = (double)(MIN(v->until, v->stopped) - v->begun) / (double)NS_PER_S;
}

static struct lane *make_lane(struct verify *v, struct netfront *f, unsigned side, unsigned i)
{
	struct lane *l = calloc(1, sizeof(*l));
	struct netfront_stats stats;

	if (!l)
		return NULL;
	l->v = v;
	l->q = netfront_get_queue(f, i);
	l->out = &v->stream[side][i];
	l->in = v->stream[!side];
	l->sends = side == 0 || !v->o->one_way;
	l->rng = v->o->seed + side * CONN_QUEUES_MAX + i;
	netfront_get_stats(l->q, &stats);
	l->errors = stats.tx_errors;
	return l;
}

static int run(struct verify *v, struct lane *lane[2][CONN_QUEUES_MAX])
{
	unsigned started = 0;
	int rc = 0;

	v->begun = clock_now();
	v->stopped = UINT64_MAX;
	v->until = v->begun + v->o->seconds * NS_PER_S;
	for (unsigned i = 0; !rc && i < 2 * v->queues; i++) {
		rc = -pthread_create(&lane[i % 2][i / 2]->thread, NULL, lane_main, lane[i % 2][i / 2]);
		started += rc == 0;
	}
	if (rc)
		v->until = 0;
	for (unsigned i = 0; i < started; i++)
		pthread_join(lane[i % 2][i / 2]->thread, NULL);
	return rc;
}

static int prepare(struct verify *v, struct netfront *const f[2], struct lane *lane[2][CONN_QUEUES_MAX])
{
	struct netfront_info info[2];
	int rc = 0;

	netfront_get_info(f[0], &info[0]);
	netfront_get_info(f[1], &info[1]);
	if (info[0].queues != info[1].queues || v->o->size > MIN(info[0].frame_max, info[1].frame_max) ||
	    (v->o->size && v->o->size < NET_VERIFY_SIZE_MIN))
		return -EINVAL;
	v->queues = info[0].queues;
	v->mtu = MIN(MIN(info[0].mtu, info[1].mtu), MIN(info[0].frame_max, info[1].frame_max) - 14);
	for (unsigned i = 0; i < 2 * v->queues; i++) {
		unsigned side = i % 2, at = i / 2;

		if (net_stream_open(&v->stream[side][at], v->o->seed + side, at, info[side].mac, info[!side].mac))
			rc = -ENOMEM;
		lane[side][at] = make_lane(v, f[side], side, at);
		if (!lane[side][at])
			rc = -ENOMEM;
	}
	return rc;
}

int net_verify(struct netfront *a, struct netfront *b, const struct net_verify_opts *o, struct net_verify_result *res)
{
	struct verify *v = calloc(1, sizeof(*v));
	struct lane *lane[2][CONN_QUEUES_MAX] = {{NULL}};
	int rc = -ENOMEM;

	memset(res, 0, sizeof(*res));
	if (!v)
		return rc;
	v->o = o;
	rc = prepare(v, (struct netfront *[2]){a, b}, lane);
	if (!rc)
		rc = run(v, lane);
	if (!rc)
		sum_up(v, lane, res);
	for (unsigned i = 0; i < 2 * v->queues; i++) {
		net_stream_close(&v->stream[i % 2][i / 2]);
		free(lane[i % 2][i / 2]);
	}
	free(v);
	return rc;
}
