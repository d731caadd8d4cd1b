/* A process that does one thing for the supervisor and ends: the probe of an image, the attachment of a tap. Nothing waits for it,
 * and it has a deadline. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_spawn.h"
#include "ring/base/check.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct sup_helper {
	struct sup *sup;
	struct sup_dev *dev; /* NULL: nobody wants to know any more */
	int pidfd, ctl;
	struct loop_fd on_end;
	struct loop_timer deadline;
	sup_helper_fn *ended;
};

static void over(struct loop_fd *w, uint32_t events UNUSED)
{
	struct sup_helper *h = CONTAINER_OF(w, struct sup_helper, on_end);
	siginfo_t si = {0};

	waitid(P_PIDFD, (id_t)h->pidfd, &si, WEXITED | WNOHANG);
	loop_fd_stop(h->sup->loop, &h->on_end);
	loop_timer_stop(h->sup->loop, &h->deadline);
	close(h->pidfd);
	if (h->dev) {
		h->dev->helper = NULL;
		h->ended(h->dev, h->ctl, &si);
	}
	close(h->ctl);
	free(h);
}

static void late(struct loop_timer *t)
{
	pidfd_send_signal(CONTAINER_OF(t, struct sup_helper, deadline)->pidfd, SIGKILL, NULL, 0);
}

int sup_helper_run(struct sup *s, struct sup_dev *d, const struct spawn_plan *plan, uint64_t ns, sup_helper_fn *ended)
{
	struct sup_helper *h;
	struct spawned out;
	int rc = sup_spawn(plan, &out);

	if (rc)
		return rc;
	if (out.far >= 0)
		close(out.far);
	h = calloc(1, sizeof(*h));
	CHECK(h);
	*h = (struct sup_helper){.sup = s, .dev = d, .pidfd = out.pidfd, .ctl = out.ctl, .ended = ended};
	rc = loop_fd_start(s->loop, &h->on_end, h->pidfd, EPOLLIN, over);
	CHECK(rc == 0);
	loop_timer_start(s->loop, &h->deadline, clock_now() + ns, late);
	if (d)
		d->helper = h;
	return 0;
}

void sup_helper_stop(struct sup_dev *d)
{
	if (!d->helper)
		return;
	d->helper->dev = NULL;
	pidfd_send_signal(d->helper->pidfd, SIGKILL, NULL, 0);
	d->helper = NULL;
}
