/* port_null.c - "null": packets vanish; "null:BYTES": frames of so many bytes come without end. For measuring everything but the
 * device. What comes is broadcast from an address of nobody, with the Ethernet type for local experiments and a number. */
#include "backend/port/port_priv.h"
#include "ring/base/check.h"
#include "ring/base/err.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_EXPERIMENTAL 0x88b5
#define NUMBER_AT (NETPORT_PACKET_MIN + 2) /* aligned to 2 in a packet, as all of it is */

struct null_queue {
	struct netport_queue q;
	size_t len; /* of what is read, 0: nothing is */
	uint64_t number;
};

struct null_port {
	struct netport p;
	struct null_queue q[];
};

static struct null_queue *to_null(struct netport_queue *q) { return CONTAINER_OF(q, struct null_queue, q); }

static int null_open(const struct netport_open *o, const struct spec *s, int *fd UNUSED, struct netport **out, char *err,
		     size_t size)
{
	uint64_t frame = 0;
	struct null_port *p;

	if (s->arg[0] && (spec_size(s->arg, &frame) || frame < NETPORT_FRAME_MIN || frame > NETPORT_FRAME_MAX))
		return err_say(err, size, -EINVAL, "null:%.60s: \"%.60s\" is no length of a frame: use %u to %u", s->arg, s->arg,
			       NETPORT_FRAME_MIN, NETPORT_FRAME_MAX);
	p = calloc(1, sizeof(*p) + o->queues * sizeof(p->q[0]));
	if (!p)
		return err_say(err, size, -ENOMEM, "out of memory");
	p->p = (struct netport){.ops = &netport_null_ops, .queues = o->queues};
	for (unsigned i = 0; i < o->queues; i++)
		p->q[i] = (struct null_queue){.q.ops = &netport_null_ops, .len = frame ? NETPORT_HDR + frame : 0};
	*out = &p->p;
	return 0;
}

static void null_close(struct netport *p) { free(CONTAINER_OF(p, struct null_port, p)); }

static struct netport_queue *null_queue(struct netport *p, unsigned index)
{
	CHECK(index < p->queues);
	return &CONTAINER_OF(p, struct null_port, p)->q[index].q;
}

static int null_start(struct netport_queue *q UNUSED) { return 0; }
static int null_write(struct netport_queue *q UNUSED, const void *packet UNUSED, size_t len UNUSED) { return 0; }

static ssize_t null_read(struct netport_queue *q, void *packet)
{
	struct null_queue *n = to_null(q);
	char *b = packet;

	if (!n->len)
		return -EAGAIN;
	memset(b, 0, n->len);
	memset(b + NETPORT_HDR, 0xff, 6);
	b[NETPORT_HDR + 6] = 2; /* locally administered */
	n->number++;
	if (n->len >= NUMBER_AT + sizeof(n->number))
		memcpy(b + NUMBER_AT, &n->number, sizeof(n->number));
	pm_store16((uint16_t *)(void *)(b + NETPORT_TYPE), htons(LOCAL_EXPERIMENTAL));
	return (ssize_t)n->len;
}

static int null_arm(struct netport_queue *q, unsigned want)
{
	return want & NETPORT_OUT || (want & NETPORT_IN && to_null(q)->len);
}

static int null_fd(const struct netport_queue *q UNUSED) { return -1; }

const struct netport_ops netport_null_ops = {
	.name = "null",
	.open = null_open,
	.close = null_close,
	.queue = null_queue,
	.start = null_start,
	.write = null_write,
	.read = null_read,
	.kick = netport_no_kick,
	.arm = null_arm,
	.fd = null_fd,
	.due = netport_never_due,
};
