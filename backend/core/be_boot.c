#include "backend/core/be_boot.h"

#include "backend/core/be_blank.h"
#include "backend/core/be_dev.h"
#include "backend/core/be_record.h"
#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"
#include "ring/os/sandbox.h"
#include "ring/os/slice.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TIMER_SLACK_NS 1000ul /* the default of 50 us would double the wait between two looks at a lock */
#define SPARE_FDS 128u	      /* for what maps guest memory on demand */
#define FDS_PER_QUEUE 20u
#define FDS_PER_DEVICE 16u
#define ERR_BYTES sizeof(((struct stub_msg *)0)->text)

struct stub {
	struct stub_start *start;
	struct be_fds fds;
	struct be_ctl ctl;
	struct be_dev *dev; /* start->ndevs of them */
	struct hv *hv[STUB_DEVS_MAX]; /* of each device; of several of one guest: the same */
	uint64_t begun;	     /* our program; a standby: its GO */
	bool parked;	     /* a standby before its GO */
	bool draining;
	uint64_t drain_until;
	char err[ERR_BYTES];
};

/* A reader of our lines that has stopped reading must not stop us: what does not fit is dropped, and counted. */
static void write_line(enum log_level lvl UNUSED, const char *text)
{
	static unsigned dropped; /* a race may lose a count, no more */
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[1200];
	int n;

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT)) {
		store_relaxed(&dropped, load_relaxed(&dropped) + 1);
		return;
	}
	n = snprintf(line, sizeof(line), "%s[%d]: %s", program_invocation_short_name, (int)getpid(), text);
	n = MIN(n, (int)sizeof(line) - 40);
	if (load_relaxed(&dropped))
		n += snprintf(line + n, sizeof(line) - (size_t)n, " (%u lines dropped before)", load_relaxed(&dropped));
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) == n)
		store_relaxed(&dropped, 0);
}

/* A descriptor below 3 that was closed would be given to the next file opened, and a log line written into it. */
static int fill_standard_fds(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -EBADF;
	return 0;
}

/* The common beginning: the record read, everything that it does not name closed. */
static int begin(struct stub *s, const char *name, enum be_purpose purpose, struct be_blank *blank)
{
	struct sandbox box = {.keep = s->fds.fd};
	int rc;

	log_init(name, LOG_LVL_INFO);
	log_set_sink(write_line);
	mallopt(M_ARENA_MAX, 1);
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	slice_short();
	rc = fill_standard_fds();
	if (!rc && blank)
		rc = be_blank_wait(name, blank);
	s->begun = clock_now();
	if (!rc)
		rc = be_record_read(blank ? blank->fd[0] : STUB_FD_RECORD, purpose, &s->start, s->err, sizeof(s->err));
	if (!rc && blank)
		rc = be_blank_renumber(blank, s->start);
	if (!rc)
		rc = be_record_fds(s->start, purpose, &s->fds, s->err, sizeof(s->err));
	for (size_t i = 0; !rc && i < s->fds.n; i++)
		if (fcntl(s->fds.fd[i], F_SETFD, FD_CLOEXEC) < 0) {
			rc = -errno;
			snprintf(s->err, sizeof(s->err), "descriptor %d of the start record is not open", s->fds.fd[i]);
		}
	box.nkeep = s->fds.n;
	return rc ? rc : sandbox_enter(SANDBOX_FDS, &box);
}

static int usage_error(const struct stub *s)
{
	log_error("%s", s->err[0] ? s->err : "cannot start");
	return EXIT_USAGE;
}

/* It cannot start: says so and why. */
static int failed(struct stub *s, uint32_t dev, int rc)
{
	struct stub_msg m = {.type = STUB_FAILED, .dev = dev, .serial = s->start->dev[dev].serial};

	m.arg[0] = rc < 0 ? (uint64_t)-rc : 0;
	snprintf(m.text, sizeof(m.text), "%s", s->err[0] ? s->err : err_str(rc));
	log_error("%s", m.text);
	be_ctl_send(&s->ctl, &m);
	return STUB_EXIT_FAILED;
}

static const struct be_class *find_class(const struct be_class *const *classes, uint32_t type)
{
	while (*classes && (*classes)->type != type)
		classes++;
	return *classes;
}

/* The provider's connection for device i: that of an earlier device of the same guest, or a new one. */
static int connect_hv(struct stub *s, uint32_t i)
{
	const struct stub_start *r = s->start;
	const struct hv_open o = {.role = HV_STUB,
				  .runtime_dir = r->provider_local ? r->runtime_dir : NULL,
				  .self = (hv_domid_t)r->self_domid,
				  .guest = (hv_domid_t)r->dev[i].conn.domid};
	int rc;

	for (uint32_t k = 0; k < i && !s->hv[i]; k++)
		if (r->dev[k].conn.domid == r->dev[i].conn.domid)
			s->hv[i] = s->hv[k];
	if (s->hv[i])
		return 0;
	rc = r->provider_local ? 0 : xen_host_check("", s->err, sizeof(s->err));
	if (rc)
		return rc;
	rc = hv_open(r->provider_local ? "local" : "xen", &o, &s->hv[i]);
	if (rc)
		snprintf(s->err, sizeof(s->err), "the %s provider cannot be reached%s%.60s: %s",
			 r->provider_local ? "local" : "xen", r->provider_local ? " at " : "",
			 r->provider_local ? r->runtime_dir : "", err_str(rc));
	return rc;
}

static int open_devices(struct stub *s, const struct be_class *const *classes, uint32_t *dev)
{
	const struct stub_start *r = s->start;
	int rc = 0;

	s->dev = calloc(r->ndevs, sizeof(*s->dev));
	if (!s->dev)
		return -ENOMEM;
	for (uint32_t i = 0; !rc && i < r->ndevs; i++) {
		const struct be_class *class = find_class(classes, r->dev[i].conn.type);

		*dev = i;
		if (!class) {
			snprintf(s->err, sizeof(s->err), "this program serves no device of type %u", r->dev[i].conn.type);
			return -ENOSYS;
		}
		rc = connect_hv(s, i);
		if (!rc)
			rc = be_dev_open(&s->dev[i], &r->dev[i], i, class, s->hv[i], r->uid, &s->ctl, s->err, sizeof(s->err));
	}
	return rc;
}

static int narrow(struct stub *s, enum sandbox_stage stage)
{
	const struct stub_start *r = s->start;
	struct sandbox box = {.uid = r->uid, .gid = r->gid, .xen = !r->provider_local};
	int rc;

	box.nofile = (rlim_t)s->fds.fd[s->fds.n - 1] + SPARE_FDS + FDS_PER_DEVICE * r->ndevs;
	for (uint32_t i = 0; i < r->ndevs; i++)
		box.nofile += FDS_PER_QUEUE * r->dev[i].conn.nqueues;
	rc = sandbox_enter(stage, &box);
	if (rc)
		snprintf(s->err, sizeof(s->err), "confinement failed at stage \"%s\": %s", sandbox_name(stage), err_str(rc));
	return rc;
}

/* What needs the rights of the start comes before PRIVILEGES: provider, journal, storage. What must not have them comes
 * after: every thread takes its capabilities from its maker, and so does an io_uring, whose kernel thread would go on
 * opening files as root for whoever took over the stub. */
static int set_up(struct stub *s, const struct be_class *const *classes, uint32_t *dev)
{
	int rc = open_devices(s, classes, dev);

	if (!rc)
		rc = narrow(s, SANDBOX_PRIVILEGES);
	for (uint32_t i = 0; !rc && i < s->start->ndevs; i++) {
		*dev = i;
		rc = be_dev_prepare(&s->dev[i], s->err, sizeof(s->err));
	}
	if (!rc)
		rc = narrow(s, SANDBOX_LIMITS);
	if (!rc)
		rc = narrow(s, SANDBOX_UNDUMPABLE);
	if (!rc)
		rc = narrow(s, SANDBOX_CALLS);
	return rc;
}

/* Tries every device that is not up yet. 0, or the process's exit status. *wait_ns: when to try again. */
static int start_devices(struct stub *s, uint64_t *wait_ns)
{
	*wait_ns = UINT64_MAX;
	for (uint32_t i = 0; i < s->start->ndevs; i++) {
		struct be_dev *d = &s->dev[i];
		int rc = be_dev_start(d);

		if (rc == -EAGAIN) {
			*wait_ns = MIN(*wait_ns, be_dev_wait_ns(d));
		} else if (rc == -EMISMATCH) {
			be_dev_say(d, STUB_MISMATCH, NULL, "the journal belongs to another connection than the start record");
			return STUB_EXIT_MISMATCH;
		} else if (rc) {
			return failed(s, i, rc);
		}
	}
	return 0;
}

static void drain(struct stub *s, uint64_t within_ns)
{
	uint64_t now = clock_now();

	s->draining = true;
	s->drain_until = within_ns < UINT64_MAX - now ? now + within_ns : UINT64_MAX;
	for (uint32_t i = 0; i < s->start->ndevs; i++)
		be_dev_drain(&s->dev[i]);
}

static void reached_ready(struct stub *s, uint64_t now)
{
	for (uint32_t i = 0; i < s->start->ndevs; i++) {
		s->dev[i].at[STUB_AT_BEGUN] = s->begun;
		s->dev[i].at[STUB_AT_READY] = now;
	}
}

/* 0, or the process's exit status. */
static int take_messages(struct stub *s)
{
	struct stub_msg m;
	int rc;

	while ((rc = be_ctl_recv(&s->ctl, &m)) == 1) {
		if (m.type == STUB_GO && s->parked) {
			s->parked = false;
			s->begun = clock_now();
			reached_ready(s, s->begun);
			for (uint32_t i = 0; i < s->start->ndevs; i++)
				s->dev[i].own_fault = m.arg[0] >> i & 1;
			return 0; /* at once: what else there is can wait */
		}
		if (m.type == STUB_DRAIN)
			drain(s, m.arg[0]);
		else if (m.type == STUB_RATE && m.dev < s->start->ndevs)
			be_dev_rate(&s->dev[m.dev], m.arg[0], m.arg[1]);
		else if (m.type == STUB_MULTICAST && m.dev < s->start->ndevs)
			be_dev_multicast(&s->dev[m.dev], m.arg[0] != 0);
		else if (m.type == STUB_FILTER && m.dev < s->start->ndevs)
			be_dev_filter(&s->dev[m.dev], m.text);
		else if (m.type == STUB_RESIZE && m.dev < s->start->ndevs)
			be_dev_resize(&s->dev[m.dev]);
		else
			log_peer("a control message of type %u is not for this stub", m.type);
	}
	/* Who serves goes on: the supervisor may be restarting. A standby that nobody can call any more has no use. */
	return rc == -EPIPE && s->parked ? EXIT_TEMPORARY : 0;
}

/* All answered, or time is up? Then says so. */
static bool drained(struct stub *s)
{
	unsigned left = 0;

	for (uint32_t i = 0; i < s->start->ndevs; i++)
		left += be_dev_undrained(&s->dev[i]);
	if (left && clock_now() < s->drain_until)
		return false;
	for (uint32_t i = 0; i < s->start->ndevs; i++)
		be_dev_say(&s->dev[i], STUB_DRAINED, (const uint64_t[4]){be_dev_undrained(&s->dev[i])}, NULL);
	return true;
}

static bool all_broken(const struct stub *s)
{
	for (uint32_t i = 0; i < s->start->ndevs; i++)
		if (!be_dev_broken(&s->dev[i]))
			return false;
	return true;
}

static int serve(struct stub *s)
{
	uint64_t wait_ns = UINT64_MAX;
	int status = 0;

	while (!status) {
		if (!s->parked && !s->draining)
			status = start_devices(s, &wait_ns);
		if (status)
			break;
		if (s->draining && drained(s))
			return STUB_EXIT_DRAINED;
		if (!s->parked && all_broken(s))
			return STUB_EXIT_BROKEN;
		if (s->draining)
			wait_ns = s->drain_until - MIN(clock_now(), s->drain_until);
		be_ctl_sleep(&s->ctl, wait_ns);
		status = take_messages(s);
	}
	return status;
}

int be_boot_serve(const char *name, bool blank, const struct be_class *const *classes)
{
	static struct be_blank given;
	struct stub *s = calloc(1, sizeof(*s)); /* for the process's life */
	uint32_t dev = 0;
	int rc = s ? begin(s, name, BE_SERVE, blank ? &given : NULL) : -ENOMEM;

	if (!s || (rc == -EPIPE && blank))
		return EXIT_TEMPORARY; /* nobody will need it any more */
	if (rc)
		return usage_error(s);
	rc = be_ctl_open(&s->ctl, STUB_FD_CTL);
	if (rc) {
		snprintf(s->err, sizeof(s->err), "descriptor %d is no control socket: %s", STUB_FD_CTL, err_str(rc));
		return usage_error(s);
	}
	rc = set_up(s, classes, &dev);
	if (rc)
		return failed(s, dev, rc);
	reached_ready(s, clock_now());
	s->parked = s->start->standby;
	for (uint32_t i = 0; s->parked && i < s->start->ndevs; i++)
		be_dev_say(&s->dev[i], STUB_READY, NULL, NULL);
	return serve(s);
}

int be_boot_probe(const char *name, const struct be_class *class)
{
	struct stub *s = calloc(1, sizeof(*s)); /* for the process's life */
	struct stub_probe p = {0};
	struct stub_msg m = {.type = STUB_FAILED};
	int rc = s ? begin(s, name, BE_PROBE, NULL) : -ENOMEM;

	if (!s)
		return EXIT_TEMPORARY;
	if (rc)
		return usage_error(s);
	m.serial = s->start->dev[0].serial;
	rc = class->probe(&s->start->dev[0], &p, s->err, sizeof(s->err));
	if (!rc) {
		rc = fdmsg_send(STUB_FD_CTL, &p, sizeof(p), NULL, 0);
		return rc ? EXIT_TEMPORARY : EXIT_DONE;
	}
	m.arg[0] = (uint64_t)-rc;
	snprintf(m.text, sizeof(m.text), "%s", s->err);
	rc = fdmsg_send(STUB_FD_CTL, &m, sizeof(m), NULL, 0);
	return rc ? EXIT_TEMPORARY : EXIT_USAGE;
}
