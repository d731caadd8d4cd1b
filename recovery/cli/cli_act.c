/* cli_act.c - what is done to a running device: kill, stop (freeze), restart, reset. */
#include "recovery/cli/cli.h"
#include "recovery/ctl/ctl_client.h"
#include "ring/base/err.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int act(const struct cli *c, enum ctl_op op, const char *vm, const char *vdev, uint64_t arg)
{
	struct ctl_req req = {.op = op, .arg = arg};
	struct ctl_reply reply = {0};
	int domid = cli_domid(c, vm), sock, rc;

	if (domid < 0)
		return CLI_FAILED;
	if (cli_device(vdev, &req.type, &req.devid))
		return EXIT_USAGE;
	req.domid = (uint32_t)domid;
	sock = cli_supervisor(c);
	if (sock < 0)
		return CLI_FAILED;
	rc = ctl_client_ask(sock, &req, &reply);
	close(sock);
	return rc < 0 ? cli_fail("%s", reply.text[0] ? reply.text : err_str(rc)) : CLI_OK;
}

/* "KILL", "SIGSEGV", "11". 0 if it is none that makes sense. */
static int signal_number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text && !*end)
		return n > 0 && n < NSIG ? (int)n : 0;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int s = 1; s < 32; s++)
		if (sigabbrev_np(s) && strcasecmp(sigabbrev_np(s), text) == 0)
			return s;
	return 0;
}

int cli_kill(struct cli *c, int argc, char **argv)
{
	int sig = SIGKILL;

	if (argc == 4 && (strcmp(argv[2], "--signal") == 0 || strcmp(argv[2], "-s") == 0)) {
		sig = signal_number(argv[3]);
		if (!sig)
			return cli_usage("no signal %s; KILL, SEGV, ABRT, BUS, STOP are the useful ones", argv[3]);
	} else if (argc != 2) {
		return cli_usage("kill takes VM VDEV [--signal NAME]");
	}
	return act(c, CTL_KILL, argv[0], argv[1], (uint64_t)sig);
}

int cli_stop(struct cli *c, int argc, char **argv)
{
	if (argc == 0)
		return cli_stop_world(c);
	if (argc != 2)
		return cli_usage("stop takes nothing (ends the local world) or VM VDEV (freezes the stub, as a hang would)");
	return act(c, CTL_KILL, argv[0], argv[1], SIGSTOP);
}

int cli_restart(struct cli *c, int argc, char **argv)
{
	if (argc != 2)
		return cli_usage("restart takes VM VDEV");
	return act(c, CTL_RESTART, argv[0], argv[1], 0);
}

int cli_reset(struct cli *c, int argc, char **argv)
{
	if (argc != 2)
		return cli_usage("reset takes VM VDEV");
	return act(c, CTL_RESET, argv[0], argv[1], 0);
}
