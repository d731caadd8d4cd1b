/* The taps of the simulated kernel: interfaces with queues that come and go with their descriptors. */
#include "tests/sim/world_net.h"

#include "ring/base/check.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/epoll.h>

#define TAPS 32u
#define TAP_QUEUES 32u

struct world_tap {
	char name[IF_NAMESIZE]; /* "": there is none */
	unsigned index;
	bool persist, attached, carrier;
	unsigned nq;
	struct os_tapq *q[TAP_QUEUES]; /* as the kernel keeps them: the last takes the place of one that goes */
	struct world_dev *dev;
};

static struct world_tap taps[TAPS];
static unsigned last_index;

void os_tap_reset(void)
{
	memset(taps, 0, sizeof(taps));
	last_index = 1;
}

static struct world_tap *find(const char *name)
{
	for (unsigned i = 0; i < TAPS; i++)
		if (name[0] && strcmp(taps[i].name, name) == 0)
			return &taps[i];
	return NULL;
}

static struct world_tap *make(const char *name)
{
	struct world_tap *t = taps;
	unsigned dom, devid;
	int dev;

	while (t->name[0])
		t++;
	CHECK(t < taps + TAPS);
	*t = (struct world_tap){.index = ++last_index, .carrier = true};
	snprintf(t->name, sizeof(t->name), "%s", name);
	CHECK(sscanf(name, "vif%u.%u", &dom, &devid) == 2);
	dev = world_dev_of(dom, devid);
	CHECK(dev >= 0);
	t->dev = &world->dev[dev];
	return t;
}

static void maybe_gone(struct world_tap *t)
{
	if (!t->nq && !t->persist)
		t->name[0] = '\0';
}

/* ---- for the network */

unsigned world_taps(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < TAPS; i++)
		n += taps[i].name[0] != '\0';
	return n;
}

struct world_tap *world_tap_of(const struct world_dev *d)
{
	for (unsigned i = 0; i < TAPS; i++)
		if (taps[i].name[0] && taps[i].dev == d)
			return &taps[i];
	return NULL;
}

bool world_tap_attached(const struct world_tap *t) { return t->attached; }
bool world_tap_carrier(const struct world_tap *t) { return t->carrier; }
unsigned world_tap_queues(const struct world_tap *t) { return t->nq; }
struct os_tapq *world_tap_queue(const struct world_tap *t, unsigned i) { return t->q[i]; }

int world_tap_attach(const char *name, bool on)
{
	struct world_tap *t = find(name);

	if (!t)
		return -ENOENT;
	t->attached = on;
	if (!on) {
		t->persist = false;
		maybe_gone(t);
	}
	return 0;
}

/* ---- queues */

int os_tap_open(void) { return os_fd_new(os_self(), os_file_new(OS_TAP)); }

void os_tap_closed(struct os_file *f)
{
	struct world_tap *t = f->tapq->tap;
	unsigned i = 0;

	while (t->q[i] != f->tapq)
		i++;
	t->q[i] = t->q[--t->nq];
	world_net_closed(t->dev);
	maybe_gone(t);
}

static struct world_lane *lane_of(const struct os_tapq *q) { return q->tap->dev->vif->in[q->at]; }

uint32_t os_tap_poll(const struct os_file *f)
{
	const struct world_lane *l = f->tapq ? lane_of(f->tapq) : NULL;

	return (l && l->over < l->made ? EPOLLIN : 0u) | EPOLLOUT;
}

/* A packet is taken before its reader's death, or not at all. */
ssize_t os_tap_read(struct os_file *f, void *buf, size_t n)
{
	CHECK(n == NETPORT_PACKET_MAX);
	return world_net_read(f->tapq->tap->dev, f->tapq->at, buf);
}

ssize_t os_tap_write(struct os_file *f, const void *buf, size_t n) { return world_net_write(f->tapq->tap->dev, buf, n); }

/* ---- calls */

int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_steer_map(void);
bool __wrap_steer_is_map(int fd);
int __real_socket(int domain, int type, int protocol);
unsigned __wrap_if_nametoindex(const char *name);
char *__wrap_if_indextoname(unsigned index, char *name);

static int fail(int err)
{
	errno = err;
	return -1;
}

static int set_iff(struct os_file *f, const struct ifreq *r)
{
	struct world_tap *t = find(r->ifr_name);

	if (!t)
		t = make(r->ifr_name);
	if (t->nq == TAP_QUEUES)
		return fail(E2BIG);
	f->tapq = os_alloc(sizeof(*f->tapq));
	*f->tapq = (struct os_tapq){.tap = t, .at = world_net_lane(t->dev)};
	f->nonblock = true;
	t->q[t->nq++] = f->tapq;
	return 0;
}

static int get_iff(const struct os_tapq *q, struct ifreq *r)
{
	memcpy(r->ifr_name, q->tap->name, sizeof(r->ifr_name));
	r->ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	return 0;
}

static int tap_ioctl(struct os_file *f, unsigned long request, void *arg)
{
	struct os_tapq *q = f->tapq;

	if (request == TUNSETIFF)
		return q ? fail(EINVAL) : set_iff(f, arg);
	if (!q)
		return fail(EBADFD);
	switch (request) {
	case TUNGETIFF:
		return get_iff(q, arg);
	case TUNSETPERSIST:
		q->tap->persist = arg != NULL;
		break;
	case TUNSETCARRIER:
		q->tap->carrier = *(const int *)arg != 0;
		break;
	case TUNSETOFFLOAD: /* the whole interface's */
		for (unsigned i = 0; i < q->tap->nq; i++)
			q->tap->q[i]->offloads = (unsigned long)(uintptr_t)arg;
		break;
	default:
		break;
	}
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct os_file *f;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!os.cur)
		return __real_ioctl(fd, request, arg);
	os_point(36, OS_CALL_NS);
	f = os_fd(fd);
	if (!f)
		return -1;
	if (f->type == OS_TAP)
		return tap_ioctl(f, request, arg);
	if (find(((const struct ifreq *)arg)->ifr_name)) /* of an interface, by any socket */
		return 0;
	return fail(ENODEV);
}

/* A kernel without BPF. */
int __wrap_steer_map(void) { return -ENOSYS; }
bool __wrap_steer_is_map(int fd UNUSED) { return false; }

int __wrap_socket(int domain, int type, int protocol)
{
	if (!os.cur)
		return __real_socket(domain, type, protocol);
	os_point(37, OS_CALL_NS);
	return os_fd_new(os_self(), os_file_new(OS_EVENT));
}

unsigned __wrap_if_nametoindex(const char *name)
{
	struct world_tap *t;

	os_point(38, OS_CALL_NS);
	t = find(name);
	return t ? t->index : 0;
}

char *__wrap_if_indextoname(unsigned index, char *name)
{
	os_point(39, OS_CALL_NS);
	for (unsigned i = 0; i < TAPS; i++)
		if (taps[i].name[0] && taps[i].index == index)
			return strcpy(name, taps[i].name);
	errno = ENXIO;
	return NULL;
}
