#include "backend/net/net_class.h"

#include "backend/net/netback.h"
#include "recovery/journal/njrnl_fmt.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct be_device {
	struct netback_options options;
	struct netback *back;
};

static uint64_t journal_bytes(const struct conn_id *c) { return c->ring_pages == 1 ? njrnl_file_bytes(c->nqueues) : 0; }

/* What may come from the netport: what the guest takes. Checksums of one family alone are completed here. */
static unsigned offloads(const struct conn_id *c)
{
	uint32_t f = c->features;
	unsigned o = f & (CONN_NET_CSUM4 | CONN_NET_CSUM6) ? NETPORT_CSUM : 0u;

	if (!o || !(f & CONN_NET_SG))
		return o;
	return o | (f & CONN_NET_GSO4 ? NETPORT_TSO4 : 0u) | (f & CONN_NET_GSO6 ? NETPORT_TSO6 : 0u);
}

/* The mapping stays when the descriptor goes. */
static int map_steer(int fd, struct steer_map **out, char *err, size_t size)
{
	void *m = fd < 0 ? NULL : mmap(NULL, sizeof(**out), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int rc = m == MAP_FAILED ? -errno : 0;

	if (fd >= 0)
		close(fd);
	*out = rc ? NULL : m;
	return rc ? err_say(err, size, rc, "the steering map can not be mapped: %s", err_str(rc)) : 0;
}

static int net_open(const struct stub_dev *sd, struct be_device **out, char *err, size_t size)
{
	struct be_device *d = calloc(1, sizeof(*d));
	int fd[CONN_QUEUES_MAX], rc;
	struct netport_open o = {.spec = sd->spec, .queues = sd->conn.nqueues, .offloads = offloads(&sd->conn)};

	if (!d)
		return err_say(err, size, -ENOMEM, "no memory for a network device");
	for (uint32_t i = 0; i < sd->conn.nqueues; i++)
		fd[i] = sd->q[i].net_fd;
	o.fd = fd[0] < 0 ? NULL : fd;
	rc = map_steer(sd->steer_fd, &d->options.steer, err, size);
	if (!rc)
		rc = netport_open(&o, &d->options.netport, err, size);
	if (rc) {
		free(d);
		return rc;
	}
	d->options.rate_bytes = sd->rate_bytes;
	d->options.rate_us = sd->rate_us;
	d->options.drain_ms = sd->drain_ms;
	d->options.stall_ms = sd->stall_ms;
	*out = d;
	return 0;
}

/* What will be written anyway; of the packets' contents the first pages, and all of them for a guest that takes long ones. A packet that
 * the kernel copies for the netport is not cut short by a death where the memory is there. Best effort. */
static void populate(const struct be_prepare *p)
{
	bool all = p->conn->features & CONN_NET_SG;
	char *mem = p->journal;

	madvise(mem, 2 * JRNL_PAGE, MADV_POPULATE_WRITE);
	for (uint32_t q = 0; q < p->conn->nqueues; q++) {
		char *at = mem + njrnl_queue_offset(q);

		madvise(at, all ? NJRNL_QUEUE_BYTES : NJRNL_DATA_OFFSET, MADV_POPULATE_WRITE);
		for (uint32_t i = 0; !all && i < NJRNL_BUFS; i++)
			madvise(at + NJRNL_DATA_OFFSET + i * NJRNL_DATA, JRNL_PAGE, MADV_POPULATE_WRITE);
	}
}

static int prepare(struct be_device *d, const struct be_prepare *p)
{
	populate(p);
	return netback_prepare(p, &d->options, &d->back);
}

static int start(struct be_device *d, bool fresh, bool own_fault, struct be_started *out)
{
	return netback_start(d->back, fresh, own_fault, out);
}

static struct netback_queue *of(struct be_queue *q) { return (struct netback_queue *)q; }
static struct be_queue *queue(struct be_device *d, unsigned i) { return (struct be_queue *)netback_get_queue(d->back, i); }
static unsigned turn(struct be_queue *q, unsigned budget) { return netback_turn(of(q), budget); }
static int arm(struct be_queue *q) { return netback_arm(of(q)); }
static int storage_fd(struct be_queue *q, short *events UNUSED) { return netback_netport_fd(of(q)); }
static uint64_t deadline(struct be_queue *q) { return netback_deadline(of(q)); }
static void awake(struct be_queue *q) { netback_awake(of(q)); }
static void asleep(struct be_queue *q) { netback_asleep(of(q)); }
static void drain(struct be_device *d) { netback_drain(d->back); }
static void rate(struct be_device *d, uint64_t bytes, uint64_t us) { netback_rate(d->back, bytes, us); }
static void multicast(struct be_device *d, bool listed) { netback_multicast(d->back, listed); }

static void filter(struct be_device *d, const char *options)
{
	char err[160];

	if (netport_filter(d->options.netport, options, err, sizeof(err)))
		log_error("the filter stays as it was: %s", err);
}

static int drained(struct be_queue *q) { return netback_drained(of(q)); }

/* A vif's storage is nothing that a disk would be. */
static int probe(const struct stub_dev *sd UNUSED, struct stub_probe *out UNUSED, char *err, size_t size)
{
	return err_say(err, size, -EOPNOTSUPP, "a network device has no storage to look at");
}

const struct be_class net_class = {
	.type = CONN_VIF,
	.journal_bytes = journal_bytes,
	.open = net_open,
	.prepare = prepare,
	.start = start,
	.queue = queue,
	.turn = turn,
	.arm = arm,
	.storage_fd = storage_fd,
	.deadline = deadline,
	.awake = awake,
	.asleep = asleep,
	.drain = drain,
	.rate = rate,
	.multicast = multicast,
	.filter = filter,
	.drained = drained,
	.probe = probe,
};
