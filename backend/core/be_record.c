#include "backend/core/be_record.h"

#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define DOMID_MAX 0x7fefu /* the last of an ordinary domain (xen.h: DOMID_FIRST_RESERVED) */
#define FIRST_FREE_FD (STUB_FD_CTL + 1)

static bool is_text(const char *t, size_t size) { return t[0] && memchr(t, '\0', size); }

static const char *bad_connection(const struct conn_id *c)
{
	if (c->type != CONN_VBD && c->type != CONN_VIF)
		return "type of device";
	if (c->protocol < CONN_NATIVE || c->protocol > CONN_X86_64)
		return "protocol";
	if (c->nqueues < 1 || c->nqueues > CONN_QUEUES_MAX)
		return "number of queues";
	if (c->ring_pages < 1 || c->ring_pages > CONN_RING_PAGES_MAX || !IS_POW2(c->ring_pages))
		return "number of ring pages";
	if (c->type == CONN_VIF && (c->ring_pages != 1 || c->protocol != CONN_NATIVE))
		return "ring of a vif";
	if (c->domid > DOMID_MAX)
		return "domid";
	return NULL;
}

/* n_min 0: it need not be there. */
static bool bad_port(const struct stub_port *p, uint32_t n_min, uint32_t n_max) { return p->nfds < n_min || p->nfds > n_max; }

/* What the connection names must be there, and nothing else. */
static const char *bad_ports(const struct stub_dev *d)
{
	const uint32_t max = ARRAY_LEN(d->ctrl.fd);
	bool vif = d->conn.type == CONN_VIF;

	for (uint32_t i = 0; i < d->conn.nqueues; i++) {
		const struct stub_queue *q = &d->q[i];
		bool split = d->conn.q[i].evtchn_rx != 0;

		if (split && !vif)
			return "connection: a second event channel";
		if (bad_port(&q->port, 1, max) || bad_port(&q->port_rx, split, split ? max : 0))
			return "number of a port's descriptors";
		if (q->net_fd != -1 && (!vif || q->net_fd < FIRST_FREE_FD))
			return "descriptor of a netport";
	}
	if (d->conn.ctrl_evtchn && !vif)
		return "connection: a control ring";
	return bad_port(&d->ctrl, d->conn.ctrl_evtchn != 0, d->conn.ctrl_evtchn ? max : 0) ? "number of a port's descriptors" : NULL;
}

static const char *bad_device(const struct stub_dev *d, bool standby, enum be_purpose purpose)
{
	const char *what;

	if (!is_text(d->spec, sizeof(d->spec)))
		return "storage";
	if (d->image_fd != -1 && d->image_fd < FIRST_FREE_FD)
		return "descriptor of the image";
	if (purpose == BE_PROBE)
		return NULL;
	if (d->conn.type == CONN_VIF && d->steer_fd != -1 && d->steer_fd < FIRST_FREE_FD)
		return "descriptor of the steering map";
	if (d->kind != STUB_FRESH && d->kind != STUB_RESUME)
		return "kind of start";
	if (standby && d->kind != STUB_RESUME)
		return "kind of start: a standby can only resume";
	if (!is_text(d->journal, sizeof(d->journal)) || d->journal[0] != '/')
		return "path of the journal";
	what = bad_connection(&d->conn);
	return what ? what : bad_ports(d);
}

int be_record_check(const struct stub_start *s, size_t bytes, enum be_purpose purpose, char *err, size_t size)
{
	if (bytes < sizeof(*s) || s->magic != STUB_MAGIC)
		return err_say(err, size, -EINVAL, "the start record is none (%zu bytes)", bytes);
	if (s->version != STUB_VERSION)
		return err_say(err, size, -EINVAL, "the start record has version %u, this program knows %u: install both alike",
			   s->version, STUB_VERSION);
	if (s->ndevs < 1 || s->ndevs > (purpose == BE_PROBE ? 1 : STUB_DEVS_MAX))
		return err_say(err, size, -EINVAL, "the start record names %u devices", s->ndevs);
	if (bytes != stub_start_bytes(s->ndevs))
		return err_say(err, size, -EINVAL, "the start record has %zu bytes, %u devices need %zu", bytes, s->ndevs,
			   stub_start_bytes(s->ndevs));
	if (s->standby > 1 || s->provider_local > 1 || s->self_domid > DOMID_MAX)
		return err_say(err, size, -EINVAL, "the start record holds a wrong flag or domid");
	if (purpose == BE_SERVE && s->provider_local && !is_text(s->runtime_dir, sizeof(s->runtime_dir)))
		return err_say(err, size, -EINVAL, "the start record names no runtime directory");
	if ((s->uid == 0) != (s->gid == 0) || s->uid == (uid_t)-1 || s->gid == (gid_t)-1)
		return err_say(err, size, -EINVAL, "the start record names a wrong user (uid %u, gid %u)", s->uid, s->gid);
	for (uint32_t i = 0; i < s->ndevs; i++) {
		const char *what = bad_device(&s->dev[i], s->standby, purpose);

		if (what)
			return err_say(err, size, -EINVAL, "device %u of the start record: wrong %s", i, what);
	}
	return 0;
}

static int ascending(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b; /* any: a difference might not fit */

	return (x > y) - (x < y);
}

static void add_fd(struct be_fds *out, int fd)
{
	if (fd != -1)
		out->fd[out->n++] = fd;
}

static void add_port(struct be_fds *out, const struct stub_port *p)
{
	for (uint32_t i = 0; i < p->nfds; i++)
		out->fd[out->n++] = p->fd[i];
}

static void add_queue(struct be_fds *out, const struct stub_queue *q)
{
	add_port(out, &q->port);
	add_port(out, &q->port_rx);
	add_fd(out, q->poke_fd);
	add_fd(out, q->net_fd);
}

int be_record_fds(const struct stub_start *s, enum be_purpose purpose, struct be_fds *out, char *err, size_t size)
{
	out->n = 0;
	for (uint32_t i = 0; i < s->ndevs; i++) {
		const struct stub_dev *d = &s->dev[i];

		add_fd(out, d->image_fd);
		if (purpose == BE_SERVE)
			add_port(out, &d->ctrl);
		if (purpose == BE_SERVE && d->conn.type == CONN_VIF)
			add_fd(out, d->steer_fd);
		for (uint32_t k = 0; purpose == BE_SERVE && k < d->conn.nqueues; k++)
			add_queue(out, &d->q[k]);
	}
	qsort(out->fd, out->n, sizeof(out->fd[0]), ascending);
	for (size_t i = 0; i < out->n; i++)
		if (out->fd[i] < FIRST_FREE_FD || (i && out->fd[i] == out->fd[i - 1]))
			return err_say(err, size, -EINVAL, "the start record names descriptor %d %s", out->fd[i],
				   out->fd[i] < FIRST_FREE_FD ? "for a device" : "twice");
	memmove(&out->fd[1], &out->fd[0], out->n * sizeof(out->fd[0]));
	out->fd[0] = STUB_FD_CTL;
	out->n++;
	return 0;
}

static int read_whole(int fd, size_t bytes, struct stub_start **out)
{
	char *s = malloc(bytes);
	ssize_t n = s ? pread(fd, s, bytes, 0) : 0;

	if (n == (ssize_t)bytes) {
		*out = (struct stub_start *)(void *)s;
		return 0;
	}
	n = !s ? -ENOMEM : n < 0 ? -errno : -EIO;
	free(s);
	return (int)n;
}

int be_record_read(int fd, enum be_purpose purpose, struct stub_start **out, char *err, size_t size)
{
	struct stat st;
	int rc, seals = fcntl(fd, F_GET_SEALS);

	*out = NULL;
	if (seals < 0 || fstat(fd, &st))
		return err_say(err, size, -errno, "descriptor %d holds no start record: bulkheadd starts this program, people use "
			   "--probe SPEC (see --help)", fd);
	if ((seals & SEALS) != SEALS)
		return err_say(err, size, -EINVAL, "the start record is not sealed");
	if (st.st_size < (off_t)sizeof(struct stub_start) || st.st_size > (off_t)stub_start_bytes(STUB_DEVS_MAX))
		return err_say(err, size, -EINVAL, "the start record has %lld bytes", (long long)st.st_size);
	rc = read_whole(fd, (size_t)st.st_size, out);
	if (rc)
		return err_say(err, size, rc, "the start record cannot be read: %s", err_str(rc));
	rc = be_record_check(*out, (size_t)st.st_size, purpose, err, size);
	if (rc) {
		free(*out);
		*out = NULL;
	}
	return rc;
}
