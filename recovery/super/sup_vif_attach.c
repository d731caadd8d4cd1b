/* How a vif's tap meets the host's network, where the toolstack has no script for it: bulkhead-vif does it and undoes it, as processes
 * of their own, so that nothing that they wait for holds up anybody else. Both may be done again at any time. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_spawn.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTACH_NS (8 * NS_PER_S) /* libxl and bulkhead(1) wait for 10 s */
#define ARGS_MAX 24

struct sup_attach {
	struct sup *sup;
	struct sup_dev *dev; /* NULL: nobody wants to know */
	int pidfd;
	struct loop_fd on_end;
	struct loop_timer deadline;
};

struct words {
	const char *argv[ARGS_MAX + 1];
	char text[ARGS_MAX][320];
	unsigned n;
};

static void PRINTF_LIKE(2, 3) word(struct words *w, const char *fmt, ...)
{
	va_list ap;

	CHECK(w->n < ARGS_MAX);
	va_start(ap, fmt);
	vsnprintf(w->text[w->n], sizeof(w->text[0]), fmt, ap);
	va_end(ap);
	w->argv[w->n] = w->text[w->n];
	w->argv[++w->n] = NULL;
}

static void given(struct words *w, const char *key, const char *value)
{
	if (value[0])
		word(w, "%s=%s", key, value);
}

static void ended(struct loop_fd *f, uint32_t events UNUSED)
{
	struct sup_attach *a = CONTAINER_OF(f, struct sup_attach, on_end);
	struct sup_dev *d = a->dev;
	siginfo_t si = {0};
	bool well = waitid(P_PIDFD, (id_t)a->pidfd, &si, WEXITED | WNOHANG) == 0 && si.si_code == CLD_EXITED && si.si_status == 0;

	loop_fd_stop(a->sup->loop, &a->on_end);
	loop_timer_stop(a->sup->loop, &a->deadline);
	close(a->pidfd);
	free(a);
	if (!d)
		return;
	d->vif.attach = NULL;
	if (well) {
		sup_vif_offered(d);
		return;
	}
	sup_dev_text(d, "%s can not be attached to the host's network (mode=%s): see the log", d->vif.tap, vif_mode_name(d->vif.wanted.mode));
	sup_offer_refused(d, si.si_code != CLD_EXITED || si.si_status == EXIT_TEMPORARY);
}

static void late(struct loop_timer *t)
{
	pidfd_send_signal(CONTAINER_OF(t, struct sup_attach, deadline)->pidfd, SIGKILL, NULL, 0);
}

static struct sup_attach *run(struct sup *s, struct words *w)
{
	char file[PATH_MAX];
	const struct spawn_plan plan = {.file = file, .argv = w->argv};
	struct sup_attach *a;
	struct spawned out;
	int rc;

	snprintf(file, sizeof(file), "%s/bulkhead-vif", s->o.libexec);
	rc = sup_spawn(&plan, &out);
	if (rc) {
		log_error("%s can not be started: %s", file, err_str(rc));
		return NULL;
	}
	close(out.ctl); /* it talks to nobody */
	if (out.far >= 0)
		close(out.far);
	a = calloc(1, sizeof(*a));
	CHECK(a);
	a->sup = s;
	a->pidfd = out.pidfd;
	CHECK(loop_fd_start(s->loop, &a->on_end, a->pidfd, EPOLLIN, ended) == 0);
	loop_timer_start(s->loop, &a->deadline, clock_now() + ATTACH_NS, late);
	return a;
}

static void begin(struct words *w, const struct sup *s, const char *what, const char *dev)
{
	word(w, "bulkhead-vif");
	word(w, "--state=%s/net", s->dirs.run);
	word(w, "%s", what);
	word(w, "%s", dev);
}

int sup_vif_attach(struct sup_dev *d)
{
	static struct words w; /* large; one thread */
	const struct vif_wanted *v = &d->vif.wanted;
	static const uint8_t none[6];
	char mac[VIF_MAC_TEXT];

	w.n = 0;
	begin(&w, d->sup, "attach", d->vif.tap);
	word(&w, "mode=%s", vif_mode_name(v->mode));
	given(&w, "bridge", v->bridge);
	given(&w, "ip", v->ip);
	given(&w, "gatewaydev", v->gatewaydev);
	given(&w, "vm", d->domain);
	vif_mac_format(v->mac, mac);
	if (memcmp(v->mac, none, sizeof(none)) != 0)
		word(&w, "mac=%s", mac);
	if (v->mtu)
		word(&w, "mtu=%u", v->mtu);
	word(&w, "domid=%u", d->domid);
	word(&w, "handle=%u", d->devid);
	word(&w, "antispoof=%d", v->antispoof);
	d->vif.attach = run(d->sup, &w);
	if (!d->vif.attach)
		return -ENOENT;
	d->vif.attach->dev = d;
	return 0;
}

void sup_vif_attach_stop(struct sup_dev *d)
{
	if (!d->vif.attach)
		return;
	d->vif.attach->dev = NULL;
	pidfd_send_signal(d->vif.attach->pidfd, SIGKILL, NULL, 0);
	d->vif.attach = NULL;
}

void sup_vif_detach(struct sup_dev *d)
{
	static struct words w;

	w.n = 0;
	begin(&w, d->sup, "detach", d->vif.tap);
	run(d->sup, &w);
}
