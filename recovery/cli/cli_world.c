/* cli_world.c - starting and ending the local world: the keeper does the work, this waits for it. */
#include "recovery/cli/cli.h"
#include "recovery/ctl/ctl_client.h"
#include "recovery/super/keep_wire.h"
#include "ring/base/err.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"
#include "ring/os/rundir.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool answers(const struct cli *c)
{
	struct ctl_req req = {.op = CTL_HELLO};
	struct ctl_reply reply;
	int s = ctl_client_open(c->runtime_dir);
	bool ok = s >= 0 && ctl_client_ask(s, &req, &reply) == 0;

	if (s >= 0)
		close(s);
	return ok;
}

/* The supervisor may be there before those that it waits for. */
static bool ready(const struct cli *c, bool xen)
{
	char hub[256], store[256];

	if (xen)
		return answers(c);
	cli_path(c, HUB_SOCK, hub, sizeof(hub));
	cli_path(c, "store.sock", store, sizeof(store));
	return access(hub, W_OK) == 0 && access(store, W_OK) == 0 && answers(c);
}

/* The keeper must know the provider as well: takes --provider out of bulkheadd's options. NULL: no such one. */
static const char *take_provider(int *argc, char **argv)
{
	const char *provider = "auto";

	for (int i = 0; i < *argc; i++) {
		int n = strncmp(argv[i], "--provider=", 11) == 0 ? 1 : strcmp(argv[i], "--provider") == 0 ? 2 : 0;

		if (n == 0)
			continue;
		if (i + n > *argc)
			return NULL;
		provider = n == 1 ? argv[i] + 11 : argv[i + 1];
		memmove(&argv[i], &argv[i + n], (size_t)(*argc - i - n) * sizeof(*argv));
		*argc -= n;
		i--;
	}
	if (strcmp(provider, "auto") && strcmp(provider, "local") && strcmp(provider, "xen"))
		return NULL;
	return xen_host_provider(provider);
}

static NORETURN void become_keeper(const struct cli *c, const char *libexec, const char *provider, int argc, char **argv)
{
	char prog[4096], log[256];
	char **args = calloc((size_t)argc + 10, sizeof(*args));
	int n = 0, fd;

	if (!args)
		_exit(EXIT_TEMPORARY);
	snprintf(prog, sizeof(prog), "%s/bulkhead-keep", libexec);
	cli_path(c, "log", log, sizeof(log));
	args[n++] = prog;
	args[n++] = (char *)"--runtime-dir";
	args[n++] = (char *)c->runtime_dir;
	args[n++] = (char *)"--libexec";
	args[n++] = (char *)libexec;
	args[n++] = (char *)"--provider";
	args[n++] = (char *)provider;
	args[n++] = (char *)"--";
	for (int i = 0; i < argc; i++)
		args[n++] = argv[i];
	setsid();
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, 0);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (fd >= 0) {
		dup2(fd, 1);
		dup2(fd, 2);
	}
	close_range(3, ~0u, 0);
	execv(prog, args);
	dprintf(2, "bulkhead: can not run %s: %s\n", prog, strerror(errno));
	_exit(EXIT_PERMANENT);
}

static void show_log_tail(const struct cli *c)
{
	char log[256], line[512], last[3][512] = {"", "", ""};
	int n = 0;
	FILE *f;

	cli_path(c, "log", log, sizeof(log));
	f = fopen(log, "re");
	while (f && fgets(line, sizeof(line), f))
		strcpy(last[n++ % 3], line);
	for (int i = 0; i < 3; i++)
		fputs(last[(n + i) % 3], stderr);
	if (f)
		fclose(f);
}

int cli_start(struct cli *c, int argc, char **argv)
{
	uint64_t deadline = clock_now() + CLI_DEADLINE_NS;
	const char *provider = take_provider(&argc, argv);
	char libexec[2200], why[256];
	pid_t pid;
	int rc, status;
	bool xen;

	if (!provider)
		return cli_usage("--provider: auto, local or xen");
	xen = strcmp(provider, "xen") == 0;
	if (xen && xen_host_check("", why, sizeof(why)))
		return cli_fail("%s (bulkhead doctor looks at all of it)", why);
	rc = rundir_make(c->runtime_dir);
	if (rc == -EPERM)
		return cli_fail("%s belongs to somebody else; choose another with --runtime-dir", c->runtime_dir);
	if (rc)
		return cli_fail("can not make the runtime directory %s: %s", c->runtime_dir, err_str(rc));
	if (answers(c))
		return cli_fail("already running in %s", c->runtime_dir);
	if (rundir_libexec("bulkhead-keep", libexec, sizeof(libexec)))
		return cli_fail("bulkhead-keep is not installed beside this program; set BULKHEAD_LIBEXEC");
	pid = fork();
	if (pid < 0)
		return cli_fail("can not start: %s", strerror(errno));
	if (pid == 0)
		become_keeper(c, libexec, provider, argc, argv);
	while (!ready(c, xen)) {
		struct timespec pause = {.tv_nsec = 2000000};

		if (waitpid(pid, &status, WNOHANG) == pid || clock_now() > deadline) {
			kill(pid, SIGTERM);
			show_log_tail(c);
			return cli_fail("did not start; the log is %s/log", c->runtime_dir);
		}
		nanosleep(&pause, NULL);
	}
	printf("started in %s\n", c->runtime_dir);
	if (xen && xsc_path(NULL, why, sizeof(why)) == 0 && access(why, W_OK))
		printf("but xenstored is not there yet (%s): disks are served when it is\n", why);
	return CLI_OK;
}

int cli_stop_world(struct cli *c)
{
	struct keep_msg m = {.op = KEEP_STOP};
	char path[256], byte;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct pollfd p;
	int s;

	cli_path(c, KEEP_SOCK, path, sizeof(path));
	s = fdmsg_connect(path);
	if (s < 0)
		return cli_fail("nothing is running in %s", c->runtime_dir);
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &len) || fdmsg_send(s, &m, sizeof(m), NULL, 0))
		return cli_fail("can not reach the keeper: %s", strerror(errno));
	p = (struct pollfd){.fd = (int)syscall(SYS_pidfd_open, peer.pid, 0), .events = POLLIN};
	if (p.fd >= 0 && poll(&p, 1, (int)(2 * CLI_DEADLINE_NS / NS_PER_MS)) == 0)
		return cli_fail("the keeper (pid %d) has not ended yet; its log is %s/log", (int)peer.pid, c->runtime_dir);
	while (p.fd < 0 && recv(s, &byte, 1, 0) > 0)
		;
	close(s);
	printf("stopped\n");
	return CLI_OK;
}
