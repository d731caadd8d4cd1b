/* real_store.h - for tests: a bulkhead-store of its own, killed and started again at will. */
#ifndef BULKHEAD_TESTS_UNIT_BUS_REAL_STORE_H
#define BULKHEAD_TESTS_UNIT_BUS_REAL_STORE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

struct real_store {
	char dir[64], program[4096], sock[80];
	pid_t pid;
};

/* The program beside this test: build/VARIANT/bin. False: it is not built. */
static inline bool real_store_find(struct real_store *s)
{
	char self[2048];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *env = getenv("BULKHEAD_STORE");
	char *tests;

	s->pid = -1;
	if (n <= 0)
		return false;
	self[n] = '\0';
	tests = strstr(self, "/tests/");
	if (env)
		snprintf(s->program, sizeof(s->program), "%s", env);
	else if (tests)
		snprintf(s->program, sizeof(s->program), "%.*s/bin/bulkhead-store", (int)(tests - self), self);
	return s->program[0] && access(s->program, X_OK) == 0;
}

static inline void real_store_start(struct real_store *s)
{
	pid_t parent = getpid();

	s->pid = fork();
	if (s->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		execl(s->program, s->program, "--runtime-dir", s->dir, "--log-level", "error", (char *)NULL);
	_exit(111);
}

static inline bool real_store_open(struct real_store *s)
{
	memset(s, 0, sizeof(*s));
	if (!real_store_find(s))
		return false;
	snprintf(s->dir, sizeof(s->dir), "/tmp/bus.XXXXXX");
	if (!mkdtemp(s->dir))
		return false;
	snprintf(s->sock, sizeof(s->sock), "%s/store.sock", s->dir);
	real_store_start(s);
	return true;
}

static inline void real_store_kill(struct real_store *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = -1;
}

/* Everything it knew is forgotten. */
static inline void real_store_forget(struct real_store *s)
{
	const char *const names[] = {"store.log", "store.log.new", "store.sock", "store-hub.sock", "store.lock"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->dir, names[i]);
		unlink(path);
	}
}

static inline void real_store_close(struct real_store *s)
{
	real_store_kill(s);
	real_store_forget(s);
	rmdir(s->dir);
}

#endif
