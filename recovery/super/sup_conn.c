/* A connection: its record, its journal, its ports. */
#include "recovery/super/sup_priv.h"

#include "ring/base/err.h"
#include "ring/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAPTRACK_PAGES (1024u * 256u) /* frames, each of so many mappings */
#define SLOTS_PER_PAGE 32u /* entries of a ring, for each of its pages, in every ABI: a power of two below 4032 / 108 */

static uint32_t slots(const struct sup_dev *d) { return SLOTS_PER_PAGE * d->conn.ring_pages; }

int sup_journal_path(const struct sup_dev *d, char path[STUB_PATH_MAX])
{
	int n = snprintf(path, STUB_PATH_MAX, "%s/%u-%u-%" PRIx64, d->sup->dirs.journals, d->domid, d->devid, d->conn.epoch);

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
	rc = -posix_fallocate(fd, 0, (off_t)jrnl_file_bytes(slots(d), d->conn.nqueues));
	if (!rc && uid && fchown(fd, uid, uid) < 0)
		rc = -errno;
	close(fd);
	return rc ? rc : sup_journal_open(d);
}

int sup_journal_stats(const struct sup_dev *d, uint32_t queue, struct jrnl_stats *st)
{
	off_t at = (off_t)(jrnl_queue_offset(slots(d), queue) + offsetof(struct jrnl_queue, stats));

	if (d->jfd < 0 || pread(d->jfd, st, sizeof(*st), at) != (ssize_t)sizeof(*st))
		return -EIO;
	return 0;
}

uint64_t sup_journal_requests(const struct sup_dev *d)
{
	uint64_t n, sum = 0;

	for (uint32_t q = 0; q < d->nports && d->jfd >= 0; q++) {
		off_t at = (off_t)(jrnl_queue_offset(slots(d), q) + offsetof(struct jrnl_queue, stats.requests));

		if (pread(d->jfd, &n, sizeof(n), at) == (ssize_t)sizeof(n))
			sum += n;
	}
	return sum;
}

uint64_t sup_journal_generation(const struct sup_dev *d)
{
	struct jrnl_hdr h;

	if (d->jfd < 0 || pread(d->jfd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || h.magic != JRNL_MAGIC ||
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
		uint32_t domid, devid;
		uint64_t epoch;
		int end = 0;

		if (sscanf(e->d_name, "%" SCNu32 "-%" SCNu32 "-%" SCNx64 "%n", &domid, &devid, &epoch, &end) != 3 ||
		    e->d_name[end])
			continue;
		d = sup_dev_find(s, domid, devid);
		if (!d || !d->has_journal || d->conn.epoch != epoch)
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* ---- ports */

static int bind_ports(struct sup_dev *d)
{
	for (uint32_t q = 0; q < d->conn.nqueues; q++) {
		int rc = hv_port_bind(d->sup->hv, (hv_domid_t)d->domid, d->conn.q[q].evtchn, &d->port[q]);

		if (rc)
			return rc;
		d->nports = q + 1;
		d->port_nfds = (uint32_t)hv_port_fds(d->port[q], d->port_fd[q]);
		d->local_port[q] = hv_port_number(d->port[q]);
	}
	return 0;
}

void sup_conn_deposit(struct sup_dev *d)
{
	int fds[CONN_QUEUES_MAX * HV_PORT_FDS];
	char name[KEEP_NAME_MAX];
	size_t n = 0;

	if (d->image >= 0) {
		sup_name_image(name, d->domid, d->devid);
		keep_put(&d->sup->keep, name, &d->image, 1);
	}
	for (uint32_t q = 0; q < d->nports; q++)
		for (uint32_t i = 0; i < d->port_nfds; i++)
			fds[n++] = d->port_fd[q][i];
	sup_name_ports(name, d->domid, d->devid);
	if (n)
		keep_put(&d->sup->keep, name, fds, n);
}

static void close_ports(struct sup_dev *d)
{
	char name[KEEP_NAME_MAX];

	if (!d->nports)
		return;
	sup_name_ports(name, d->domid, d->devid);
	keep_drop(&d->sup->keep, name);
	for (uint32_t q = 0; q < d->nports; q++) {
		if (d->port[q])
			hv_port_close(d->port[q]);
		else
			for (uint32_t i = 0; i < d->port_nfds; i++)
				close(d->port_fd[q][i]);
		d->port[q] = NULL;
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

static uint32_t features(const struct vbd_offer *o, const struct vbd_ask *a, bool read_only)
{
	uint32_t f = 0;

	f |= o->persistent && a->persistent ? CONN_PERSISTENT : 0;
	f |= o->max_indirect ? CONN_INDIRECT : 0;
	f |= o->discard ? CONN_DISCARD : 0;
	f |= o->flush ? CONN_FLUSH : 0;
	f |= o->barrier ? CONN_BARRIER : 0;
	f |= read_only ? CONN_READ_ONLY : 0;
	return f;
}

static void fill_record(struct sup_dev *d, const struct vbd_ask *a)
{
	struct conn_id *c = &d->conn;

	memset(c, 0, sizeof(*c));
	memcpy(c->vm_uuid, d->uuid, sizeof(c->vm_uuid));
	c->domid = d->domid;
	c->devid = d->devid;
	c->type = CONN_VBD;
	c->protocol = a->protocol;
	c->nqueues = a->nqueues;
	c->ring_pages = a->ring_pages;
	c->features = features(&d->offer, a, d->wanted.read_only);
	c->max_segments = d->offer.max_indirect;
	/* Never one that was used before, also when nobody remembers it. */
	d->epoch = MAX(d->epoch + 1, clock_wall());
	c->epoch = d->epoch;
	for (uint32_t q = 0; q < c->nqueues; q++) {
		c->q[q].evtchn = a->q[q].evtchn;
		memcpy(c->q[q].gref, a->q[q].gref, c->ring_pages * sizeof(c->q[q].gref[0]));
	}
}

int sup_conn_make(struct sup_dev *d, const struct vbd_ask *ask, char *err, size_t size)
{
	int rc;

	fill_record(d, ask);
	rc = make_journal(d);
	if (rc) {
		snprintf(err, size, "the journal (%" PRIu64 " bytes in %s) can not be made: %s",
			 jrnl_file_bytes(slots(d), d->conn.nqueues), d->sup->dirs.journals, err_str(rc));
	} else {
		rc = bind_ports(d);
		if (rc)
			snprintf(err, size, "event channel %u of domain %u can not be bound: %s", d->conn.q[d->nports].evtchn,
				 d->domid, err_str(rc));
	}
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
	if (d->jfd >= 0)
		close(d->jfd);
	d->jfd = -1;
	if (d->has_journal && sup_journal_path(d, path) == 0)
		unlink(path);
	d->has_journal = false;
}
