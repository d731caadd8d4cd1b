#include "tests/chaos/victims.h"

#include "recovery/ctl/ctl_client.h"
#include "recovery/super/procs.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

int victims_open(struct victims *v, const char *dir, const char *stub)
{
	char path[PATH_MAX], text[32] = "";
	FILE *f;

	*v = (struct victims){.dir = dir, .stub = stub, .ctl = -1};
	snprintf(path, sizeof(path), "%s/keep.pid", dir);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	if (fgets(text, sizeof(text), f))
		v->keeper = atoi(text);
	fclose(f);
	return v->keeper > 1 ? 0 : -ESRCH;
}

static void disconnect(struct victims *v)
{
	if (v->ctl >= 0)
		close(v->ctl);
	v->ctl = -1;
}

void victims_close(struct victims *v) { disconnect(v); }

static int connect_ctl(struct victims *v)
{
	if (v->ctl < 0)
		v->ctl = ctl_client_open(v->dir);
	return v->ctl < 0 ? v->ctl : 0;
}

int victims_status(struct victims *v, struct ctl_dev *dev, int max)
{
	struct ctl_dev *all = NULL;
	struct ctl_reply r;
	int n = connect_ctl(v);

	if (!n)
		n = ctl_client_status(v->ctl, 0, CTL_ALL, CTL_ALL, &all, &r);
	if (n < 0) {
		disconnect(v);
		return n;
	}
	n = MIN(n, max);
	if (n > 0)
		memcpy(dev, all, (size_t)n * sizeof(*dev));
	free(all);
	return n;
}

int victims_ask_kill(struct victims *v, const struct ctl_dev *dev, int signal)
{
	struct ctl_req req = {.op = CTL_KILL, .domid = dev->domid, .devid = dev->devid, .arg = (uint64_t)signal};
	struct ctl_reply r;
	int rc = connect_ctl(v);

	return rc ? rc : ctl_client_ask(v->ctl, &req, &r);
}

struct search {
	const char *name;
	const pid_t *but;
	unsigned n;
	pid_t found;
};

static bool among(pid_t pid, const pid_t *list, unsigned n)
{
	while (n > 0)
		if (list[--n] == pid)
			return true;
	return false;
}

static void look_at(pid_t pid, void *arg)
{
	struct search *s = (struct search *)arg;
	char name[32];

	procs_name(pid, name, sizeof(name));
	if (strcmp(name, s->name) == 0 && !among(pid, s->but, s->n))
		s->found = pid;
}

pid_t victims_find(struct victims *v, const char *name, const pid_t *but, unsigned n)
{
	struct search s = {.name = name, .but = but, .n = n}, super = {.name = VICTIM_SUPER};

	procs_children(v->keeper, look_at, &s);
	if (s.found || strcmp(name, v->stub) != 0)
		return s.found;
	procs_children(v->keeper, look_at, &super);
	if (super.found)
		procs_children(super.found, look_at, &s);
	return s.found;
}

static bool dead(int pidfd, int ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

static void let_go(struct shot *s)
{
	close(s->pidfd);
	s->pidfd = -1;
}

bool victims_aim(struct shot *s, pid_t pid, const char *name)
{
	char comm[32];

	*s = (struct shot){.pidfd = pid > 1 ? pidfd_open(pid, 0) : -1, .pid = pid};
	if (s->pidfd < 0)
		return false;
	procs_name(pid, comm, sizeof(comm));
	if (strcmp(comm, name) == 0 && !dead(s->pidfd, 0))
		return true;
	let_go(s);
	return false;
}

bool victims_fire(struct shot *s, int signal)
{
	s->signal = signal;
	if (!dead(s->pidfd, 0) && pidfd_send_signal(s->pidfd, signal, NULL, 0) == 0)
		return true;
	let_go(s);
	return false;
}

bool victims_settle(struct shot *s, unsigned ms)
{
	bool died = s->pidfd >= 0 && dead(s->pidfd, (int)ms);

	if (s->pidfd >= 0)
		let_go(s);
	return died;
}
