/* Domains: which of them run, are shut down, or gone.
 *
 * One that is shut down may be suspended: it runs again when what it was suspended for has failed, or it goes, and then its
 * successor elsewhere makes its unanswered requests again. So what its stub took is finished and answered, and nothing is
 * replayed until it runs (DESIGN.md section 6). That it runs again is told by nobody: it is looked for. */
#include "recovery/super/sup_priv.h"

#include "ring/base/log.h"

#include <errno.h>
#include <sys/epoll.h>

#define LOOK_NS (20 * NS_PER_MS)    /* while one is suspended */
#define LOOK_SELDOM_NS (1 * NS_PER_S) /* where the provider tells nothing: xenstored knows no domain that is older than itself */

bool sup_domain_runs(const struct sup_dev *d)
{
	int rc;

	if (!(hv_features(d->sup->hv) & HV_FEAT_SUSPEND))
		return true;
	rc = hv_domain_state(d->sup->hv, (hv_domid_t)d->domid);
	return rc != 0 && rc != -ESHUTDOWN;
}

/* False: the hypervisor's connection is lost. */
static bool check(struct sup_dev *d)
{
	switch (hv_domain_state(d->sup->hv, (hv_domid_t)d->domid)) {
	case 0:
		sup_bus_domain_gone(d);
		return true;
	case 1:
		sup_dev_event(d, SUP_EV_RUNS);
		return true;
	case -ESHUTDOWN:
		sup_dev_event(d, SUP_EV_STOPPED);
		return true;
	case -ECONNRESET:
	case -EPIPE:
		return false;
	default:
		return true;
	}
}

static void look_due(struct loop_timer *t) { sup_domains_check(CONTAINER_OF(t, struct sup, look)); }

static void look_in(struct sup *s, uint64_t ns)
{
	loop_timer_start(s->loop, &s->look, clock_now() + ns, look_due);
}

void sup_domains_check(struct sup *s)
{
	struct sup_dev *d, *next;
	struct sup_group *g;

	if (!(hv_features(s->hv) & HV_FEAT_DOMAIN_EVENTS))
		look_in(s, LOOK_SELDOM_NS);
	LIST_FOREACH(g, &s->groups, link)
		for (d = LIST_FIRST(&g->devs); d; d = next) {
			next = LIST_NEXT(d, link); /* it may be gone when its domain is */
			if (d->state == CTL_SUSPENDED)
				sup_domain_await(s);
			if (!d->domain_gone && !check(d)) {
				log_error("the hypervisor's connection is lost: starting over");
				loop_stop(s->loop);
				return;
			}
		}
}

void sup_domain_await(struct sup *s) { look_in(s, LOOK_NS); }

static void changed(struct loop_fd *w, uint32_t events)
{
	struct sup *s = CONTAINER_OF(w, struct sup, domains);

	(void)events;
	hv_domain_clear(s->hv);
	sup_domains_check(s);
}

int sup_domains_open(struct sup *s)
{
	int fd = hv_domain_fd(s->hv);

	return fd < 0 ? 0 : loop_fd_start(s->loop, &s->domains, fd, EPOLLIN, changed);
}

void sup_domains_close(struct sup *s)
{
	loop_fd_stop(s->loop, &s->domains);
	loop_timer_stop(s->loop, &s->look);
}
