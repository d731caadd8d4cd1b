/* bulkhead-autoprobe: what the kernel's own binding of backends did, for every device but Bulkhead's disks and vifs.
 *
 * While it runs, /sys/bus/xen-backend/drivers_autoprobe is 0, and it gives each device without a driver to drivers_probe,
 * when the device or the driver appears and at its own start. A process of its own, because the kernel's probe of a device waits for
 * xenstored, without end and not to be killed, and the supervisor must not. */
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"
#include "ring/os/loop.h"
#include "ring/os/xen_host.h"
#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/bus/vif_keys.h"
#include "xenstore-glue/client/xs_sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LATER_NS (500 * NS_PER_MS) /* look again: a store that was away, an event that was lost */

static const char usage[] = "Usage: bulkhead-autoprobe [--runtime-dir DIR] [--disks all|marked] [--vifs all|marked]\n"
			    "                          [--log-level LEVEL]\n"
			    "Binds the kernel's drivers to Xen's backend devices, except to Bulkhead's disks and vifs, until SIGTERM.\n";

struct probing {
	struct loop *loop;
	struct xsc *xs; /* NULL: all disks and vifs are Bulkhead's */
	bool disks_marked, vifs_marked;
	struct loop_fd events;
	struct loop_timer later;
	bool asked; /* to look, while looking */
};

static int put(const char *file, const char *text)
{
	char path[PATH_MAX];
	int fd, rc = 0;

	snprintf(path, sizeof(path), XEN_BACKEND_BUS "/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* 1: Bulkhead's; 0: not; or the store's error. "vbd-1-51712" is backend/vbd/1/51712. */
static int is_ours(struct probing *p, const char *device)
{
	char node[XS_PATH_SIZE], script[256] = "", kind[4] = "";
	unsigned domid, devid;
	bool disk;
	int rc;

	if (sscanf(device, "%3[a-z]-%u-%u", kind, &domid, &devid) != 3)
		return 0;
	disk = strcmp(kind, "vbd") == 0;
	if (!disk && strcmp(kind, "vif") != 0)
		return 0;
	if (disk ? !p->disks_marked : !p->vifs_marked)
		return 1;
	snprintf(node, sizeof(node), "backend/%s/%u/%u/script", kind, domid, devid);
	rc = xsc_sync_read(p->xs, node, script, sizeof(script));
	if (rc && rc != -ENOENT)
		return rc;
	return disk ? vbd_marked(script) : vif_marked(script);
}

static void look_due(struct loop_timer *t);

static void look_at(struct probing *p, const char *device)
{
	int rc;

	if (xen_host_bound("", device))
		return;
	rc = is_ours(p, device);
	if (rc < 0) {
		log_warn("%s: xenstore does not say whose it is: %s", device, err_str(rc));
		loop_timer_start(p->loop, &p->later, clock_now() + LATER_NS, look_due);
	} else if (rc == 0) {
		rc = put("drivers_probe", device);
		log_debug("%s: given to the kernel's drivers (%s)", device, rc ? err_str(rc) : "ok");
	}
}

/* Reading the store runs the loop, so that looks may be asked for meanwhile. */
static void look(struct probing *p)
{
	struct dirent *e;
	DIR *d;

	if (p->asked) {
		loop_timer_start(p->loop, &p->later, clock_now(), look_due);
		return;
	}
	p->asked = true;
	d = opendir(XEN_BACKEND_BUS "/devices");
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			look_at(p, e->d_name);
	if (d)
		closedir(d);
	p->asked = false;
}

static void look_due(struct loop_timer *t) { look(CONTAINER_OF(t, struct probing, later)); }

/* What an event says is not trusted, only that there was one of this bus; a queue that overflowed is one as well. */
static void on_event(struct loop_fd *w, uint32_t events)
{
	bool wanted = false;
	char text[8192];
	ssize_t n;

	(void)events;
	while ((n = recv(w->fd, text, sizeof(text) - 1, MSG_DONTWAIT)) >= 0 || errno == ENOBUFS) {
		text[n < 0 ? 0 : n] = '\0';
		wanted = wanted || n < 0 || memmem(text, (size_t)n, "xen-backend", 11);
	}
	if (wanted)
		look(CONTAINER_OF(w, struct probing, events));
}

static int listen_to_kernel(struct probing *p)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	return loop_fd_start(p->loop, &p->events, fd, EPOLLIN, on_event);
}

static void on_term(int signo, void *arg)
{
	(void)signo;
	loop_stop((struct loop *)arg);
}

static int run(bool disks_marked, bool vifs_marked)
{
	struct probing p = {.disks_marked = disks_marked, .vifs_marked = vifs_marked};
	char path[256];
	struct xsc_cfg cfg = {.path = path};
	int rc = put("drivers_autoprobe", "0");

	if (!rc)
		rc = loop_open(&p.loop);
	if (!rc)
		rc = loop_signal(p.loop, SIGTERM, on_term, p.loop);
	if (!rc)
		rc = loop_signal(p.loop, SIGINT, on_term, p.loop);
	cfg.loop = p.loop;
	if (!rc && (disks_marked || vifs_marked))
		rc = xsc_path(NULL, path, sizeof(path));
	if (!rc && (disks_marked || vifs_marked))
		rc = xsc_open(&cfg, &p.xs);
	if (!rc)
		rc = listen_to_kernel(&p);
	if (!rc) {
		loop_timer_start(p.loop, &p.later, clock_now(), look_due);
		rc = loop_run(p.loop);
	}
	if (rc)
		log_error(XEN_BACKEND_BUS ": %s", err_str(rc));
	else
		put("drivers_autoprobe", "1");
	xsc_close(p.xs);
	loop_close(p.loop);
	return rc ? EXIT_TEMPORARY : EXIT_DONE;
}

int main(int argc, char **argv)
{
	static const struct option longopts[] = {
		{"runtime-dir", required_argument, NULL, 'd'}, {"disks", required_argument, NULL, 'k'}, {"vifs", required_argument, NULL, 'v'},
		{"log-level", required_argument, NULL, 'l'},   {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool disks_marked = false, vifs_marked = false;
	int c, level = LOG_LVL_INFO;

	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		switch (c) {
		case 'd': break; /* the keeper gives it to all */
		case 'k': disks_marked = strcmp(optarg, "marked") == 0; break;
		case 'v': vifs_marked = strcmp(optarg, "marked") == 0; break;
		case 'l': level = log_level_parse(optarg); break;
		case 'h': fputs(usage, stdout); return EXIT_DONE;
		default: fputs(usage, stderr); return EXIT_USAGE;
		}
	}
	log_init("bulkhead-autoprobe", level < 0 ? LOG_LVL_INFO : (enum log_level)level);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* the next keeper starts one of its own; what was set stays */
	return run(disks_marked, vifs_marked);
}
