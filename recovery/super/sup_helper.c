/* A process that does one thing for the supervisor and ends: the probe of an image, the attachment of a tap. Nothing waits for it,
 * and it has a deadline. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_spawn.h"
#include "ring/base/check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct sup_helper {
	LIST_ENTRY(sup_helper) link;
	struct sup *sup;
	char what[16];	     /* it works on; "": of a predecessor of ours, any */
	int pidfd, ctl;
	struct loop_fd on_end;
	struct loop_timer deadline;
	sup_helper_fn *ended; /* NULL: nobody wants to know any more */
	void *arg;
	struct sup_helper **out; /* of who does */
};

static void over(struct loop_fd *w, uint32_t events UNUSED)
{
	struct sup_helper *h = CONTAINER_OF(w, struct sup_helper, on_end);
	siginfo_t si = {0};

	waitid(P_PIDFD, (id_t)h->pidfd, &si, WEXITED | WNOHANG);
	loop_fd_stop(h->sup->loop, &h->on_end);
	loop_timer_stop(h->sup->loop, &h->deadline);
	LIST_REMOVE(h, link);
	close(h->pidfd);
	if (h->out)
		*h->out = NULL;
	if (h->ended)
		h->ended(h->arg, h->ctl, &si);
	if (h->ctl >= 0)
		close(h->ctl);
	free(h);
}

static void late(struct loop_timer *t)
{
	pidfd_send_signal(CONTAINER_OF(t, struct sup_helper, deadline)->pidfd, SIGKILL, NULL, 0);
}

static struct sup_helper *watch(struct sup *s, int pidfd, uint64_t ns)
{
	struct sup_helper *h = calloc(1, sizeof(*h));
	int rc;

	CHECK(h);
	*h = (struct sup_helper){.sup = s, .pidfd = pidfd, .ctl = -1};
	rc = loop_fd_start(s->loop, &h->on_end, pidfd, EPOLLIN, over);
	CHECK(rc == 0);
	loop_timer_start(s->loop, &h->deadline, clock_now() + ns, late);
	LIST_INSERT_HEAD(&s->helpers, h, link);
	return h;
}

int sup_helper_run(struct sup *s, struct sup_helper **to, const char *what, const struct spawn_plan *plan, uint64_t ns, sup_helper_fn *ended,
		   void *arg)
{
	struct sup_helper *h;
	struct spawned out;
	int rc = sup_spawn(plan, &out);

	if (rc)
		return rc;
	if (out.far >= 0)
		close(out.far);
	h = watch(s, out.pidfd, ns);
	h->out = to;
	h->ctl = out.ctl;
	h->ended = ended;
	h->arg = arg;
	snprintf(h->what, sizeof(h->what), "%s", what);
	if (to)
		*to = h;
	return 0;
}

void sup_helper_adopt(struct sup *s, pid_t pid, uint64_t ns)
{
	int pidfd = pidfd_open(pid, 0);

	if (pidfd >= 0)
		watch(s, pidfd, ns);
}

bool sup_helper_runs(const struct sup *s, const char *what)
{
	const struct sup_helper *h;

	LIST_FOREACH(h, &s->helpers, link)
		if (!h->what[0] || strcmp(h->what, what) == 0)
			return true;
	return false;
}

void sup_helper_forget(struct sup_helper *h)
{
	if (h->out)
		*h->out = NULL;
	h->out = NULL;
	h->ended = NULL;
}

void sup_helper_stop(struct sup_dev *d)
{
	struct sup_helper *h = d->helper;

	if (!h)
		return;
	sup_helper_forget(h);
	pidfd_send_signal(h->pidfd, SIGKILL, NULL, 0);
}
