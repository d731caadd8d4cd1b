/* How a vif's tap meets the host's network, where the toolstack has no script for it: bulkhead-vif does it and undoes it, as processes
 * of their own, so that nothing that they wait for holds up anybody else. Both may be done again at any time, but in their order: a tap
 * is attached when none works on one of its name any more. Who attaches ends with us; who detaches goes on, and our successor waits. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_spawn.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ARGS_MAX 24

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

static const char *mode_of(const struct sup_dev *d)
{
	return d->vif.wanted.mode == VIF_BY_SCRIPT ? "script" : vif_mode_name(d->vif.wanted.mode);
}

bool sup_vif_attaches(const struct sup_dev *d)
{
	return d->vif.tap[0] && (d->vif.wanted.mode != VIF_BY_SCRIPT || d->vif.wanted.antispoof);
}

static void ended(void *arg, int ctl, const siginfo_t *si)
{
	struct sup_dev *d = (struct sup_dev *)arg;
	bool exited = si->si_code == CLD_EXITED;
	char line[sizeof(d->text)];
	ssize_t n;

	n = recv(ctl, line, sizeof(line) - 1, MSG_DONTWAIT);
	if (exited && si->si_status == 0) {
		snprintf(d->vif.guest, sizeof(d->vif.guest), "%.*s", (int)MAX(n, 0), line);
		sup_vif_offered(d);
		return;
	}
	if (n > 0)
		sup_dev_text(d, "mode=%s: %.*s", mode_of(d), (int)n, line);
	else
		sup_dev_text(d, "mode=%s: " SUP_VIF_PROGRAM " has died: see the log", mode_of(d));
	sup_offer_refused(d, !exited || si->si_status == EXIT_TEMPORARY);
}

static int run(struct sup *s, struct sup_helper **out, const char *tap, struct words *w, sup_helper_fn *fn, void *arg)
{
	char file[PATH_MAX];
	const struct spawn_plan plan = {.file = file, .argv = w->argv};
	int rc;

	snprintf(file, sizeof(file), "%s/" SUP_VIF_PROGRAM, s->o.libexec);
	rc = sup_helper_run(s, out, tap, &plan, SUP_VIF_NS, fn, arg);
	if (rc)
		log_error("%s can not be started: %s", file, err_str(rc));
	return rc;
}

static void begin(struct words *w, const struct sup *s, const char *what, const char *dev)
{
	word(w, SUP_VIF_PROGRAM);
	word(w, "--say=%d", STUB_FD_CTL);
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
	word(&w, "mode=%s", mode_of(d));
	given(&w, "bridge", v->mode == VIF_BY_SCRIPT ? "" : v->bridge);
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
	return run(d->sup, &d->helper, d->vif.tap, &w, ended, d);
}

int sup_vif_detach_run(struct sup *s, struct sup_helper **out, const char *tap, sup_helper_fn *fn, void *arg)
{
	static struct words w;

	w.n = 0;
	begin(&w, s, "detach", tap);
	return run(s, out, tap, &w, fn, arg);
}

void sup_vif_detach(struct sup_dev *d)
{
	char dev[sizeof(d->vif.tap)];

	if (d->vif.wanted.mode == VIF_BY_SCRIPT) /* as it was attached, whatever its script has called it since */
		snprintf(dev, sizeof(dev), "vif%u.%u", d->domid, d->devid);
	else
		memcpy(dev, d->vif.tap, sizeof(dev));
	sup_vif_leave(d->sup, dev);
}
