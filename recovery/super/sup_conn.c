/* A connection: its record, its journal, its ports. */
#include "recovery/super/sup_priv.h"

#include "ring/base/err.h"
#include "ring/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAPTRACK_PAGES (1024u * 256u) /* frames, each of so many mappings */

int sup_journal_path(const struct sup_dev *d, char path[STUB_PATH_MAX])
{
	char name[64];
	int n;

	sup_id_format(name, sizeof(name), "", sup_dev_id(d));
	n = snprintf(path, STUB_PATH_MAX, "%s/%s-%" PRIx64, d->sup->dirs.journals, name, d->conn.epoch);
	return n < 0 || n >= STUB_PATH_MAX ? -ENAMETOOLONG : 0;
}

int sup_journal_open(struct sup_dev *d)
{
	char path[STUB_PATH_MAX];
	int rc = sup_journal_path(d, path);

	if (rc)
		return rc;
	d->jfd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (d->jfd < 0)
		return -errno;
	d->has_journal = true;
	return 0;
}

/* Allocated whole here, so that a full tmpfs is an error of this moment and never a signal later. */
static int make_journal(struct sup_dev *d)
{
	uint32_t uid = sup_stub_uid(d->sup, d->domid);
	char path[STUB_PATH_MAX];
	int fd, rc = sup_journal_path(d, path);

	if (rc)
		return rc;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	d->has_journal = true;
	rc = -posix_fallocate(fd, 0, (off_t)d->class->journal_bytes(&d->conn));
	if (!rc && uid && fchown(fd, uid, uid) < 0)
		rc = -errno;
	close(fd);
	return rc ? rc : sup_journal_open(d);
}

int sup_journal_stats(const struct sup_dev *d, uint32_t queue, struct jrnl_stats *st)
{
	off_t at = (off_t)(d->class->queue_offset(&d->conn, queue) + offsetof(struct jrnl_queue, stats));

	if (d->jfd < 0 || pread(d->jfd, st, sizeof(*st), at) != (ssize_t)sizeof(*st))
		return -EIO;
	return 0;
}

bool sup_conn_waits(const struct sup_dev *d, uint32_t queue)
{
	uint32_t per = sup_conn_per_queue(&d->conn);
	struct pollfd p[4];
	unsigned n = 0;

	for (uint32_t i = queue * per; i < (queue + 1) * per && i < d->nports; i++)
		p[n++] = (struct pollfd){.fd = d->port[i].fd[0], .events = POLLIN};
	if (queue == 0 && d->conn.ctrl_evtchn)
		p[n++] = (struct pollfd){.fd = d->port[d->nports - 1].fd[0], .events = POLLIN};
	if (d->class->waits_fd)
		p[n++] = (struct pollfd){.fd = d->class->waits_fd(d, queue), .events = POLLIN};
	if (poll(p, n, 0) <= 0)
		return false;
	while (n--)
		if (p[n].revents & POLLIN)
			return true;
	return false;
}

uint64_t sup_journal_requests(const struct sup_dev *d)
{
	uint64_t n, sum = 0;

	for (uint32_t q = 0; q < sup_dev_queues(d) && d->jfd >= 0; q++) {
		off_t at = (off_t)(d->class->queue_offset(&d->conn, q) + offsetof(struct jrnl_queue, stats.requests));

		if (pread(d->jfd, &n, sizeof(n), at) == (ssize_t)sizeof(n))
			sum += n;
	}
	return sum;
}

uint64_t sup_journal_generation(const struct sup_dev *d)
{
	struct jrnl_hdr h;

	if (d->jfd < 0 || pread(d->jfd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || h.magic != d->class->magic ||
	    h.valid != JRNL_VALID || h.generation != JRNL_GENERATION(JRNL_GENERATION_OF(h.generation)))
		return 0;
	return JRNL_GENERATION_OF(h.generation);
}

void sup_journals_sweep(struct sup *s)
{
	DIR *dir = opendir(s->dirs.journals);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		const struct sup_dev *d;
		struct dev_id id;
		uint64_t epoch;
		int end, more = 0;

		if (!sup_id_parse(e->d_name, "", &id, &end) || sscanf(e->d_name + end, "-%" SCNx64 "%n", &epoch, &more) != 1 ||
		    e->d_name[end + more])
			continue;
		d = sup_dev_find(s, id);
		if (!d || !d->has_journal || d->conn.epoch != epoch)
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* ---- ports */

uint32_t sup_conn_per_queue(const struct conn_id *c) { return c->q[0].evtchn_rx ? 2 : 1; }

static uint32_t count_ports(const struct conn_id *c) { return c->nqueues * sup_conn_per_queue(c) + (c->ctrl_evtchn != 0); }

static uint32_t evtchn_of(const struct conn_id *c, uint32_t i)
{
	uint32_t per = sup_conn_per_queue(c), q = i / per;

	if (q >= c->nqueues)
		return c->ctrl_evtchn;
	return i % per ? c->q[q].evtchn_rx : c->q[q].evtchn;
}

int sup_conn_bind(struct sup_dev *d, uint32_t *bad)
{
	for (uint32_t i = 0; i < count_ports(&d->conn); i++) {
		struct sup_port *p = &d->port[i];
		int rc;

		*bad = evtchn_of(&d->conn, i);
		rc = hv_port_bind(d->sup->hv, (hv_domid_t)d->domid, *bad, &p->port);
		if (rc)
			return rc;
		d->nports = i + 1;
		d->port_nfds = (uint32_t)hv_port_fds(p->port, p->fd);
		p->local = hv_port_number(p->port);
	}
	return 0;
}

void sup_conn_deposit(struct sup_dev *d)
{
	int fds[SUP_PORTS_MAX * HV_PORT_FDS];
	char name[KEEP_NAME_MAX];
	size_t n = 0;

	d->class->deposit(d);
	for (uint32_t i = 0; i < d->nports; i++)
		for (uint32_t k = 0; k < d->port_nfds; k++)
			fds[n++] = d->port[i].fd[k];
	sup_name_ports(name, sup_dev_id(d));
	if (n)
		keep_put(&d->sup->keep, name, fds, n);
}

static void close_ports(struct sup_dev *d)
{
	char name[KEEP_NAME_MAX];

	if (!d->nports)
		return;
	sup_name_ports(name, sup_dev_id(d));
	keep_drop(&d->sup->keep, name);
	for (uint32_t i = 0; i < d->nports; i++) {
		struct sup_port *p = &d->port[i];

		if (p->port)
			hv_port_close(p->port);
		else
			for (uint32_t k = 0; k < d->port_nfds; k++)
				close(p->fd[k]);
		p->port = NULL;
	}
	d->nports = 0;
}

/* ---- the whole */

/* Of all that is connected. The limit itself is told to nobody but by xenhypfs, so this goes by Xen's own default. */
static void warn_of_maptrack(struct sup *s)
{
	const struct sup_group *g;
	const struct sup_dev *d;
	uint64_t all = 0;

	LIST_FOREACH(g, &s->groups, link)
		LIST_FOREACH(d, &g->devs, link)
			all += d->nports ? conn_grants_max(&d->conn) : 0;
	if (all <= MAPTRACK_PAGES || s->maptrack_said || strcmp(s->o.provider, "xen") != 0)
		return;
	s->maptrack_said = true;
	log_warn("the disks may keep %" PRIu64 " pages mapped, more than Xen's default of %u (gnttab_max_maptrack_frames, see bulkhead doctor): "
		 "what can not be mapped is copied", all, MAPTRACK_PAGES);
}

void sup_conn_record(struct sup_dev *d)
{
	struct conn_id *c = &d->conn;

	memset(c, 0, sizeof(*c));
	memcpy(c->vm_uuid, d->uuid, sizeof(c->vm_uuid));
	c->domid = d->domid;
	c->devid = d->devid;
	c->type = d->type;
	/* Never one that was used before, also when nobody remembers it. */
	d->epoch = MAX(d->epoch + 1, clock_wall());
	c->epoch = d->epoch;
}

int sup_conn_make(struct sup_dev *d, char *err, size_t size)
{
	uint32_t bad = 0;
	int rc = make_journal(d);

	if (rc) {
		snprintf(err, size, "the journal (%" PRIu64 " bytes in %s) can not be made: %s", d->class->journal_bytes(&d->conn),
			 d->sup->dirs.journals, err_str(rc));
	} else {
		rc = sup_conn_bind(d, &bad);
		if (rc)
			snprintf(err, size, "event channel %u of domain %u can not be bound: %s", bad, d->domid, err_str(rc));
	}
	if (!rc && d->class->connect)
		rc = d->class->connect(d, err, size);
	if (rc)
		sup_conn_forget(d);
	else
		sup_conn_deposit(d);
	warn_of_maptrack(d->sup);
	return rc;
}

void sup_conn_forget(struct sup_dev *d)
{
	char path[STUB_PATH_MAX];

	close_ports(d);
	if (d->class->disconnect)
		d->class->disconnect(d);
	if (d->jfd >= 0)
		close(d->jfd);
	d->jfd = -1;
	if (d->has_journal && sup_journal_path(d, path) == 0)
		unlink(path);
	d->has_journal = false;
}
