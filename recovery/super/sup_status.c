/* The control socket's requests: status, and what an operator may ask for. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/procs.h"
#include "ring/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* Upper bound of bucket i in microseconds: that of bucket 2n is 1.5 * 2^n, of 2n+1 it is 2^(n+1). */
static uint64_t bucket_end(unsigned i)
{
	uint64_t low = 1ull << (i / 2);

	return i % 2 ? low * 2 : low + (low + 1) / 2;
}

/* The bucket's bound below which `share` (of 1000) of all answers lie. */
static uint64_t percentile(const uint64_t *hist, unsigned share)
{
	uint64_t all = 0, below = 0;
	unsigned i;

	for (i = 0; i < JRNL_HIST; i++)
		all += hist[i];
	if (!all)
		return 0;
	for (i = 0; i < JRNL_HIST - 1; i++) {
		below += hist[i];
		if (below * 1000 >= all * share)
			break;
	}
	return bucket_end(i);
}

static void add_stats(const struct sup_dev *d, struct ctl_dev *c)
{
	uint64_t hist[JRNL_HIST] = {0};
	struct jrnl_stats st;

	for (uint32_t q = 0; q < sup_dev_queues(d); q++) {
		if (sup_journal_stats(d, q, &st))
			continue;
		c->requests += st.requests;
		c->errors += st.errors;
		c->bytes_read += st.bytes_read;
		c->bytes_written += st.bytes_written;
		c->replayed += st.replayed;
		c->inflight += st.engine_outstanding;
		c->grants_mapped += st.grants_mapped + d->conn.ring_pages;
		for (unsigned i = 0; i < JRNL_HIST; i++)
			hist[i] += st.hist[i];
	}
	c->lat_p50_us = percentile(hist, 500);
	c->lat_p99_us = percentile(hist, 990);
	c->lat_max_us = percentile(hist, 1000);
}

/* From /proc: what the stub's confinement is, as far as it can be seen from outside. */
static const char *confinement(pid_t pid)
{
	char path[64], buf[4096];
	bool seccomp, caps;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return "";
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return "";
	buf[n] = '\0';
	seccomp = strstr(buf, "\nSeccomp:\t2") != NULL;
	caps = strstr(buf, "\nCapPrm:\t0000000000000000") == NULL;
	return seccomp && !caps && geteuid() == 0 ? "full" : "reduced";
}

static void fill(struct sup_dev *d, struct ctl_dev *c)
{
	const struct sup_group *g = d->group;

	memset(c, 0, sizeof(*c));
	c->type = d->type;
	c->domid = d->domid;
	c->devid = d->devid;
	c->state = d->state;
	c->nqueues = sup_dev_queues(d);
	c->ring_pages = d->nports ? d->conn.ring_pages : 0;
	c->restarts_window = policy_window(&g->policy, clock_now());
	c->generation = d->generation;
	c->restarts = d->restarts;
	c->last_outage_ns = d->last_outage;
	c->up_since = d->up_since;
	c->grants_max = d->nports ? conn_grants_max(&d->conn) : 0;
	if (g->active && sup_dev_runs(d)) {
		c->pid = g->active->pid;
		c->uss_bytes = procs_uss(c->pid);
		snprintf(c->confinement, sizeof(c->confinement), "%s", confinement(c->pid));
	}
	if (g->standby && g->standby->ready && sup_dev_runs(d)) {
		c->standby_pid = g->standby->pid;
		c->standby_uss_bytes = procs_uss(c->standby_pid);
	}
	memcpy(c->vdev, d->vdev, sizeof(c->vdev));
	memcpy(c->domain, d->domain, sizeof(c->domain));
	memcpy(c->text, d->text, sizeof(c->text));
	d->class->status(d, c);
	add_stats(d, c);
}

static bool meant(const struct sup_dev *d, const struct ctl_req *r)
{
	return (!r->type || r->type == d->type) && (r->domid == CTL_ALL || r->domid == d->domid) &&
	       (r->devid == CTL_ALL || r->devid == d->devid);
}

static int status(void *arg, const struct ctl_req *req, struct ctl_dev **out, char *text, size_t size)
{
	struct sup *s = (struct sup *)arg;
	struct sup_group *g;
	struct sup_dev *d;
	int n = 0, at = 0;

	(void)text;
	(void)size;
	LIST_FOREACH(g, &s->groups, link)
		LIST_FOREACH(d, &g->devs, link)
			n += meant(d, req);
	*out = calloc((size_t)n + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	LIST_FOREACH(g, &s->groups, link)
		LIST_FOREACH(d, &g->devs, link)
			if (meant(d, req))
				fill(d, &(*out)[at++]);
	return n;
}

static int kill_stub(struct sup_dev *d, uint64_t signo, char *text, size_t size)
{
	struct sup_proc *p = d->group->active;

	if (signo != SIGKILL && signo != SIGSTOP && signo != SIGSEGV && signo != SIGBUS && signo != SIGABRT) {
		snprintf(text, size, "signal %llu: one of 6, 7, 9, 11 (death) and 19 (hang) is meant", (unsigned long long)signo);
		return -EINVAL;
	}
	if (!p || !sup_dev_runs(d)) {
		snprintf(text, size, "%s is %s: it has no stub", d->vdev, ctl_state_name(d->state));
		return -ESRCH;
	}
	p->asked = true;
	return pidfd_send_signal(p->pidfd, (int)signo, NULL, 0) < 0 ? -errno : 0;
}

static int restart(struct sup_dev *d, char *text, size_t size)
{
	if (d->state == CTL_UP || d->state == CTL_FENCING || (d->state == CTL_FAILED && d->has_journal)) {
		sup_bus_error(d, NULL);
		sup_dev_text(d, "%s", "");
		sup_dev_event(d, SUP_EV_RESTART);
		return 0;
	}
	snprintf(text, size, "%s is %s: there is nothing to restart", d->vdev, ctl_state_name(d->state));
	return -EINVAL;
}

static int reset(struct sup_dev *d, char *text, size_t size)
{
	if (d->state == CTL_WAITING || d->state == CTL_CLOSED || d->state == CTL_DRAINING) {
		snprintf(text, size, "%s is %s: it has no connection to end", d->vdev, ctl_state_name(d->state));
		return -EINVAL;
	}
	d->reset = true;
	sup_dev_event(d, SUP_EV_RESET);
	return 0;
}

static int act(void *arg, const struct ctl_req *req, char *text, size_t size)
{
	struct sup *s = (struct sup *)arg;
	struct sup_dev *d = sup_dev_find(s, (struct dev_id){.type = req->type ? req->type : CONN_VBD, .domid = req->domid, .devid = req->devid});

	if (!d) {
		snprintf(text, size, "domain %u has no such device", req->domid);
		return -ENOENT;
	}
	switch (req->op) {
	case CTL_KILL:
		return kill_stub(d, req->arg, text, size);
	case CTL_RESTART:
		return restart(d, text, size);
	case CTL_RESIZE:
		return sup_resize(d, req->arg, text, size);
	case CTL_FILTER:
		return sup_vif_filter(d, req->text, text, size);
	default:
		return reset(d, text, size);
	}
}

const struct ctl_ops sup_ctl_ops = {.version = BULKHEAD_VERSION, .status = status, .act = act};
