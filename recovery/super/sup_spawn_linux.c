#include "recovery/super/sup_spawn.h"

#include "ring/os/stub_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int sup_spawn_init(void)
{
	int null, rc = 0;

	/* What a careless parent left open would otherwise go on to every stub. */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= STUB_FD_CTL && !rc; fd++)
		if (fcntl(fd, F_GETFD) < 0 && dup3(null, fd, O_CLOEXEC) < 0)
			rc = -errno;
	if (null < 0)
		return -errno;
	if (null > STUB_FD_CTL)
		close(null);
	return rc;
}

int sup_spawn_record(const struct spawn_plan *p)
{
	int fd = memfd_create("start-record", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, p->record, p->record_bytes) == (ssize_t)p->record_bytes && lseek(fd, 0, SEEK_SET) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		return fd;
	close(fd);
	return -EIO;
}

static int start(const struct spawn_plan *p, int record, int ctl, pid_t *pid)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&fa);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	rc = record >= 0 ? posix_spawn_file_actions_adddup2(&fa, record, STUB_FD_RECORD) : 0;
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&fa, ctl, STUB_FD_CTL);
	/* A descriptor dupped onto itself loses close-on-exec. */
	for (size_t i = 0; i < p->npass && !rc; i++)
		rc = posix_spawn_file_actions_adddup2(&fa, p->pass[i], p->pass[i]);
	if (!rc)
		rc = posix_spawn(pid, p->file, &fa, &attr, (char *const *)(uintptr_t)p->argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	return -rc;
}

int sup_spawn(const struct spawn_plan *p, struct spawned *out)
{
	int pair[2], rc, record = p->record ? sup_spawn_record(p) : -1;

	if (p->record && record < 0)
		return record;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		rc = -errno;
		if (record >= 0)
			close(record);
		return rc;
	}
	rc = start(p, record, pair[1], &out->pid);
	if (record >= 0)
		close(record);
	/* Not reaped yet, so the number can not have become another process's. */
	out->pidfd = rc ? -1 : pidfd_open(out->pid, 0);
	if (!rc && out->pidfd < 0) {
		rc = -errno;
		kill(out->pid, SIGKILL);
		waitpid(out->pid, NULL, 0);
	}
	if (!rc && fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
		rc = -errno;
	out->ctl = pair[0];
	out->far = pair[1];
	if (rc) {
		close(pair[0]);
		close(pair[1]);
	}
	return rc;
}
