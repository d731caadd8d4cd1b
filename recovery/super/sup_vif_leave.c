/* A tap that is being detached from the host's network: a process may fail at that, or be killed at its deadline, and what it recorded is
 * still to be undone. It is tried again, later and later, and given up after some time, loudly. A file NAME.leave beside the records says
 * that it is wanted, so that a successor of ours goes on. A vif that takes the name again is attached over what is left, and ends this. */
#include "recovery/super/sup_priv.h"

#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRIES 8u
#define AGAIN_NS (500 * NS_PER_MS) /* after the first failure; twice as long after each other */
#define SUFFIX ".leave"

struct sup_leaving {
	LIST_ENTRY(sup_leaving) link;
	struct sup *sup;
	char tap[16];
	unsigned failed;
	struct sup_helper *helper;
	struct loop_timer again;
};

static void start(struct sup_leaving *l);

static int path_of(const struct sup_leaving *l, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/net/%s" SUFFIX, l->sup->dirs.run, l->tap);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Where nothing was attached there is no folder, and nothing to undo. */
static void mark(const struct sup_leaving *l)
{
	char path[PATH_MAX];
	int fd = path_of(l, path) ? -1 : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	else if (errno != ENOENT)
		log_warn("%s can not be written: a successor of this supervisor would not detach %s", path, l->tap);
}

static void drop(struct sup_leaving *l)
{
	loop_timer_stop(l->sup->loop, &l->again);
	if (l->helper)
		sup_helper_forget(l->helper);
	LIST_REMOVE(l, link);
	free(l);
}

static void done(struct sup_leaving *l)
{
	char path[PATH_MAX];

	if (path_of(l, path) == 0)
		unlink(path);
	drop(l);
}

static bool taken(const struct sup_leaving *l)
{
	struct sup_group *g;
	struct sup_dev *d;

	LIST_FOREACH(g, &l->sup->groups, link)
		LIST_FOREACH(d, &g->devs, link)
			if (d->type == CONN_VIF && strcmp(d->vif.tap, l->tap) == 0)
				return true;
	return false;
}

static void again(struct loop_timer *t)
{
	struct sup_leaving *l = CONTAINER_OF(t, struct sup_leaving, again);

	if (taken(l))
		done(l);
	else if (sup_helper_runs(l->sup, l->tap)) /* a predecessor's */
		loop_timer_start(l->sup->loop, &l->again, clock_now() + AGAIN_NS, again);
	else
		start(l);
}

static void failed(struct sup_leaving *l, const char *why)
{
	uint64_t wait = AGAIN_NS << l->failed;

	if (++l->failed == TRIES) {
		log_error("%s is still attached to the host's network (%s): given up; `" SUP_VIF_PROGRAM " --state=%s/net detach %s`, or the next supervisor",
			  l->tap, why, l->sup->dirs.run, l->tap);
		drop(l);
		return;
	}
	log_warn("%s could not be detached from the host's network (%s): again in %llu ms", l->tap, why, (unsigned long long)(wait / NS_PER_MS));
	loop_timer_start(l->sup->loop, &l->again, clock_now() + wait, again);
}

static void ended(void *arg, int ctl, const siginfo_t *si)
{
	struct sup_leaving *l = (struct sup_leaving *)arg;
	char line[200];
	ssize_t n = recv(ctl, line, sizeof(line) - 1, MSG_DONTWAIT);

	line[MAX(n, 0)] = '\0';
	if (si->si_code == CLD_EXITED && si->si_status == 0)
		done(l);
	else
		failed(l, line[0] ? line : si->si_code == CLD_EXITED ? "see the log" : "killed: it was to take no longer");
}

static void start(struct sup_leaving *l)
{
	int rc = sup_vif_detach_run(l->sup, &l->helper, l->tap, ended, l);

	if (rc)
		failed(l, err_str(rc));
}

static struct sup_leaving *leaving(struct sup *s, const char *tap)
{
	struct sup_leaving *l;

	LIST_FOREACH(l, &s->leaving, link)
		if (strcmp(l->tap, tap) == 0)
			return l;
	l = calloc(1, sizeof(*l));
	CHECK(l);
	l->sup = s;
	snprintf(l->tap, sizeof(l->tap), "%s", tap);
	LIST_INSERT_HEAD(&s->leaving, l, link);
	return l;
}

void sup_vif_leave(struct sup *s, const char *tap)
{
	struct sup_leaving *l = leaving(s, tap);

	loop_timer_stop(s->loop, &l->again);
	if (l->helper)
		sup_helper_forget(l->helper); /* of what was there before; they keep their order by a lock */
	l->failed = 0;
	mark(l);
	start(l);
}

void sup_vif_leave_adopt(struct sup *s)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/net", s->dirs.run);
	DIR *dir = n > 0 && n < (int)sizeof(path) ? opendir(path) : NULL;
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		size_t len = strlen(e->d_name), end = strlen(SUFFIX);
		struct sup_leaving *l;
		char tap[16];

		if (len <= end || len - end >= sizeof(tap) || strcmp(e->d_name + len - end, SUFFIX) != 0)
			continue;
		snprintf(tap, sizeof(tap), "%.*s", (int)(len - end), e->d_name);
		l = leaving(s, tap);
		loop_timer_start(s->loop, &l->again, clock_now(), again);
	}
	if (dir)
		closedir(dir);
}

void sup_vif_leave_close(struct sup *s)
{
	struct sup_leaving *l;

	while ((l = LIST_FIRST(&s->leaving)))
		drop(l);
}
