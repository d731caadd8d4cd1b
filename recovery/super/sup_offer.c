/* What comes of an offer: made, or refused for a time or for good. And the options that devices of every kind have. */
#include "recovery/super/sup_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGAIN_NS NS_PER_S	   /* a device that can not be offered is looked at again */
#define SOON_NS NS_PER_MS	   /* one that will be free in a moment */
#define PATIENCE_NS (8 * NS_PER_S) /* less than the 10 s that libxl has: it is to be told, not to give up by itself */

void sup_offer_start(struct sup_dev *d)
{
	sup_offer_stop(d);
	d->class->offer(d);
}

void sup_offer_stop(struct sup_dev *d)
{
	loop_timer_stop(d->sup->loop, &d->again);
	sup_helper_stop(d);
}

static void look_again(struct loop_timer *t) { sup_offer_start(CONTAINER_OF(t, struct sup_dev, again)); }

void sup_offer_soon(struct sup_dev *d) { loop_timer_start(d->sup->loop, &d->again, clock_now() + SOON_NS, look_again); }

static bool refuse(struct sup_dev *d, bool passes)
{
	bool done = sup_bus_refuse(d, passes && clock_now() - d->asked < PATIENCE_NS);

	sup_dev_event(d, SUP_EV_REFUSED);
	return done;
}

void sup_offer_refused_now(struct sup_dev *d) { refuse(d, false); }

void sup_offer_refused(struct sup_dev *d, bool passes)
{
	if (!refuse(d, passes))
		loop_timer_start(d->sup->loop, &d->again, clock_now() + AGAIN_NS, look_again);
}

void sup_offer_made(struct sup_dev *d, const char *fmt, ...)
{
	char what[sizeof(d->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	sup_dev_text(d, "%s", "");
	sup_bus_offer(d);
	sup_dev_event(d, SUP_EV_OFFERED);
	sup_note(d, CTL_EV_OFFERED, "%s", what);
}

void sup_offer_script(const struct sup_dev *d, const char *script, const char *ours, bool found, struct xs_kvs *kvs)
{
	const char *slash = strrchr(script, '/');
	char path[256];

	if (!slash || sup_bus_self(d->sup))
		return;
	snprintf(path, sizeof(path), "%.*s/%s", (int)MIN(slash - script, 200), script, ours);
	if (!found || access(path, X_OK) == 0)
		xs_kv_set(kvs, "script", "%s", path);
}

int sup_offer_number(struct spec *sp, const char *key, uint64_t max, uint64_t *v, struct sup_dev *d)
{
	char text[32], *end;

	if (!spec_take(sp, key, text, sizeof(text)))
		return 0;
	*v = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && *v <= max)
		return 0;
	sup_dev_text(d, "%s=%s: a whole number up to %llu is meant", key, text, (unsigned long long)max);
	return -EINVAL;
}

int sup_offer_options(struct sup_dev *d, struct spec *sp, uint64_t poll_us)
{
	uint64_t hang_ms = d->sup->o.hang_ns / NS_PER_MS;
	char text[32];
	int rc;

	d->want_standby = d->sup->o.standby;
	if (spec_take(sp, "standby", text, sizeof(text))) {
		d->want_standby = strcmp(text, "yes") == 0 || strcmp(text, "1") == 0;
		if (!d->want_standby && strcmp(text, "no") != 0 && strcmp(text, "0") != 0) {
			sup_dev_text(d, "standby=%s: yes or no is meant", text);
			return -EINVAL;
		}
	}
	if (spec_take(sp, "on-give-up", text, sizeof(text)) && strcmp(text, "wait") != 0) {
		sup_dev_text(d, "on-give-up=%s: only wait is there yet", text);
		return -EINVAL;
	}
	rc = sup_offer_number(sp, "hang-ms", 3600000, &hang_ms, d);
	if (!rc)
		rc = sup_offer_number(sp, "poll-us", 1000000, &poll_us, d);
	if (!rc && hang_ms == 0) {
		sup_dev_text(d, "hang-ms=0: at least 1 is meant");
		rc = -EINVAL;
	}
	d->hang_ns = hang_ms * NS_PER_MS;
	d->poll_us = (uint32_t)poll_us;
	return rc;
}
