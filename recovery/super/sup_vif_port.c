/* The netport of a vif: who makes it, and who holds which of its descriptors.
 *
 * tap   made while the vif is offered, so that a toolstack's script finds it; its queues are opened for a connection and closed
 *       with it, so its carrier tells whether there is one
 * pair  a wire between two vifs whose params say the same NAME. Who comes first makes it; both hold both ends, so that either may
 *       leave and come back
 * null  nothing */
#include "recovery/super/sup_priv.h"

#include "recovery/net/tap.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TXQUEUELEN 4096u /* a million packets a second for the time that an outage takes */
#define WIRE_BYTES ((uint64_t)1 << 20)

static bool is(const struct sup_dev *d, const char *kind) { return strcmp(d->vif.port.engine, kind) == 0; }

static void close_fds(struct sup_dev *d)
{
	char name[KEEP_NAME_MAX];

	if (!d->vif.nfds)
		return;
	sup_name_store(name, sup_dev_id(d));
	keep_drop(&d->sup->keep, name);
	while (d->vif.nfds)
		close(d->vif.fd[--d->vif.nfds]);
	sup_vif_steer_close(d);
}

void sup_vif_port_deposit(struct sup_dev *d)
{
	int fd[ARRAY_LEN(d->vif.fd) + 1];
	char name[KEEP_NAME_MAX];
	uint32_t n = d->vif.nfds;

	sup_name_store(name, sup_dev_id(d));
	memcpy(fd, d->vif.fd, n * sizeof(fd[0]));
	if (d->vif.steer >= 0)
		fd[n++] = d->vif.steer;
	if (n)
		keep_put(&d->sup->keep, name, fd, n);
}

/* Another vif of ours for which fits(other, d) holds. */
static struct sup_dev *other(const struct sup_dev *d, bool (*fits)(const struct sup_dev *o, const struct sup_dev *d))
{
	struct sup_group *g;
	struct sup_dev *o;

	LIST_FOREACH(g, &d->sup->groups, link)
		LIST_FOREACH(o, &g->devs, link)
			if (o != d && o->type == CONN_VIF && fits(o, d))
				return o;
	return NULL;
}

/* ---- tap */

/* Xen's scripts expect vifD.N and give it the name vifname themselves. */
static void tap_name(const struct sup_dev *d, char name[TAP_NAME_MAX])
{
	if (d->vif.wanted.vifname[0] && (d->vif.wanted.mode != VIF_BY_SCRIPT || !d->vif.wanted.script[0]))
		memcpy(name, d->vif.wanted.vifname, TAP_NAME_MAX);
	else
		snprintf(name, TAP_NAME_MAX, "vif%u.%u", d->domid, d->devid);
}
static_assert(sizeof(((struct vif_wanted *)0)->vifname) == TAP_NAME_MAX && sizeof(((struct sup_vif *)0)->tap) == TAP_NAME_MAX, "names");

static bool has_name(const struct sup_dev *o, const struct sup_dev *d)
{
	char name[TAP_NAME_MAX];

	tap_name(d, name);
	return strcmp(o->vif.tap, name) == 0;
}

/* The interface that was made is still there; it may have another name by now. */
static bool find_tap(struct sup_dev *d)
{
	char name[IF_NAMESIZE];

	if (!d->vif.tap_index) /* a predecessor died while it made it */
		d->vif.tap_index = if_nametoindex(d->vif.tap);
	if (!d->vif.tap_index || !if_indextoname(d->vif.tap_index, name)) {
		d->vif.tap_index = 0;
		return false;
	}
	if (strcmp(name, d->vif.tap) != 0) {
		memcpy(d->vif.tap, name, sizeof(d->vif.tap));
		sup_dev_save(d);
	}
	return true;
}
static_assert(sizeof(((struct sup_vif *)0)->tap) == IF_NAMESIZE, "names");

static struct tap_conf conf_of(struct sup_dev *d, unsigned queues)
{
	struct tap_conf c = {.queues = queues, .txqueuelen = TXQUEUELEN, .mtu = d->vif.wanted.mtu};

	if (d->vif.tap[0] && find_tap(d)) {
		memcpy(c.name, d->vif.tap, sizeof(c.name));
		c.index = d->vif.tap_index;
	} else {
		tap_name(d, c.name);
	}
	return c;
}

static int make_tap(struct sup_dev *d, const struct tap_conf *c, int *fd, char *err, size_t size)
{
	int rc = tap_make(c, fd, err, size);

	if (!rc)
		d->vif.tap_index = if_nametoindex(c->name);
	return rc;
}

bool sup_vif_port_leaving(const struct sup_dev *d)
{
	char name[TAP_NAME_MAX];

	tap_name(d, name);
	return is(d, "tap") && !d->vif.tap_index && sup_helper_runs(d->sup, name);
}

static int take_tap(struct sup_dev *d)
{
	struct tap_conf c = conf_of(d, 1);
	struct sup_dev *o = other(d, has_name);
	char err[sizeof(d->text)] = "";
	int fd, rc;

	if (c.index)
		return 0; /* kept from the connection before */
	if (o) {
		sup_dev_text(d, "the interface %s is %s's of domain %u: another vifname is needed", c.name, o->vdev, o->domid);
		return -EBUSY;
	}
	memcpy(d->vif.tap, c.name, sizeof(d->vif.tap));
	sup_dev_save_now(d); /* before it is made: a successor is to find it */
	rc = make_tap(d, &c, &fd, err, sizeof(err));
	if (rc) {
		d->vif.tap[0] = '\0';
		sup_dev_save(d);
		sup_dev_text(d, "%s%s", err, rc == -EPERM || rc == -EACCES ? "; params=pair:NAME and params=null need none" : "");
		return rc;
	}
	close(fd);
	sup_dev_save(d);
	return 0;
}

static int open_tap(struct sup_dev *d, char *err, size_t size)
{
	int rc = -ESTALE;

	if (d->vif.nfds)
		return 0;
	for (unsigned i = 0; rc == -ESTALE && i < 2; i++) { /* once more if it was given another name just then */
		struct tap_conf c = conf_of(d, d->conn.nqueues);

		rc = make_tap(d, &c, d->vif.fd, err, size);
	}
	if (rc)
		return rc;
	d->vif.nfds = d->conn.nqueues;
	sup_vif_steer_open(d);
	return 0;
}

/* ---- pair */

static bool has_wire(const struct sup_dev *o, const struct sup_dev *d)
{
	return is(o, "pair") && strcmp(o->vif.port.arg, d->vif.port.arg) == 0 && o->vif.nfds;
}

static bool has_wire_of_side_1(const struct sup_dev *o, const struct sup_dev *d) { return has_wire(o, d) && o->vif.side; }
static bool has_wire_of_side_0(const struct sup_dev *o, const struct sup_dev *d) { return has_wire(o, d) && !o->vif.side; }

static int make_wires(struct sup_dev *d, uint32_t queues)
{
	int rc = 0;

	for (uint32_t q = 0; !rc && q < queues; q++) {
		int end[2];

		rc = wire_make(WIRE_BYTES, end);
		if (rc)
			break;
		d->vif.fd[2 * q] = end[0];
		d->vif.fd[2 * q + 1] = end[1];
		d->vif.nfds = 2 * q + 2;
	}
	return rc;
}

static int share_wires(struct sup_dev *d, const struct sup_dev *o)
{
	while (d->vif.nfds < o->vif.nfds) {
		int fd = fcntl(o->vif.fd[d->vif.nfds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		d->vif.fd[d->vif.nfds++] = fd;
	}
	return 0;
}

static int take_pair(struct sup_dev *d)
{
	struct sup_dev *zero = other(d, has_wire_of_side_0), *one = other(d, has_wire_of_side_1), *first = zero ? zero : one;
	uint32_t queues = d->vif.offer.max_queues;
	int rc;

	if (d->vif.nfds)
		return 0;
	if (zero && one) {
		sup_dev_text(d, "the wire %s has both its ends attached already", d->vif.port.arg);
		return -EBUSY;
	}
	if (first && first->vif.nfds != 2 * queues) {
		sup_dev_text(d, "the wire %s has %u queues at its other end: queues=%u is needed here", d->vif.port.arg, first->vif.nfds / 2,
			     first->vif.nfds / 2);
		return -EINVAL;
	}
	d->vif.side = zero != NULL;
	rc = first ? share_wires(d, first) : make_wires(d, queues);
	if (rc) {
		sup_dev_text(d, "the wire %s can not be made: %s", d->vif.port.arg, err_str(rc));
		close_fds(d);
		return rc;
	}
	sup_vif_port_deposit(d);
	sup_dev_save(d);
	return 0;
}

/* ---- any */

int sup_vif_port_take(struct sup_dev *d)
{
	if (is(d, "tap"))
		return take_tap(d);
	if (is(d, "pair"))
		return take_pair(d);
	return 0;
}

void sup_vif_port_found(struct sup_dev *d)
{
	if (d->vif.tap[0])
		find_tap(d);
}

void sup_vif_port_leave(struct sup_dev *d)
{
	close_fds(d);
	if (sup_vif_attaches(d))
		sup_vif_detach(d);
	if (d->vif.tap[0] && find_tap(d))
		tap_remove(d->vif.tap);
	d->vif.tap[0] = '\0';
	d->vif.tap_index = 0;
}

int sup_vif_port_open(struct sup_dev *d, char *err, size_t size)
{
	int rc = is(d, "tap") ? open_tap(d, err, size) : 0;

	if (rc || !is(d, "pair") || 2 * d->conn.nqueues <= d->vif.nfds)
		return rc;
	return err_say(err, size, -EINVAL, "the wire %s is lost: attach both ends anew", d->vif.port.arg);
}

void sup_vif_port_close(struct sup_dev *d)
{
	if (is(d, "tap"))
		close_fds(d);
}

int sup_vif_port_fd(const struct sup_dev *d, uint32_t queue)
{
	if (is(d, "tap"))
		return d->vif.fd[queue];
	return is(d, "pair") ? d->vif.fd[2 * queue + d->vif.side] : -1;
}

void sup_vif_port_adopt(struct sup_dev *d)
{
	char name[KEEP_NAME_MAX];
	size_t n = ARRAY_LEN(d->vif.fd);

	sup_name_store(name, sup_dev_id(d));
	if (keep_get(&d->sup->keep, name, d->vif.fd, &n))
		n = 0;
	d->vif.nfds = (uint32_t)n;
	sup_vif_steer_adopt(d);
	sup_vif_port_found(d);
	/* Of a tap whose connection has ended, or is another than is remembered. */
	if (is(d, "tap") && d->vif.nfds && d->vif.nfds != d->conn.nqueues)
		close_fds(d);
	sup_vif_steer(d);
}

void sup_vif_port_carrier(struct sup_dev *d, bool on)
{
	if (is(d, "tap") && d->vif.nfds && tap_carrier(d->vif.fd[0], on))
		log_warn("%s of domain %u: the carrier of %s can not be set", d->vdev, d->domid, d->vif.tap);
}
