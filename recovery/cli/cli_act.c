/* cli_act.c - what is done to a running device: kill, stop (freeze), restart, reset, resize, filter. */
#include "recovery/cli/cli.h"
#include "recovery/ctl/ctl_client.h"
#include "ring/base/err.h"
#include "ring/base/spec.h"
#include "ring/os/clock.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* CLI_OK, or the exit status. */
static int name_device(const struct cli *c, struct ctl_req *req, const char *vm, const char *vdev)
{
	int domid = cli_domid(c, vm);

	if (domid < 0)
		return CLI_FAILED;
	req->domid = (uint32_t)domid;
	return cli_device(vdev, &req->type, &req->devid) ? EXIT_USAGE : CLI_OK;
}

static int ask(const struct cli *c, struct ctl_req *req, const char *vm, const char *vdev)
{
	struct ctl_reply reply = {0};
	int sock, rc = name_device(c, req, vm, vdev);

	if (rc)
		return rc;
	sock = cli_supervisor(c);
	if (sock < 0)
		return CLI_FAILED;
	rc = ctl_client_ask(sock, req, &reply);
	close(sock);
	if (rc == -ENOENT)
		return cli_fail("%s has no %s", vm, vdev);
	return rc < 0 ? cli_fail("%s", reply.text[0] ? reply.text : err_str(rc)) : CLI_OK;
}

static int act(const struct cli *c, enum ctl_op op, const char *vm, const char *vdev, uint64_t arg)
{
	struct ctl_req req = {.op = op, .arg = arg};

	return ask(c, &req, vm, vdev);
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

/* What became of it. A stub that dies meanwhile is followed by one that has looked. */
static int await_size(int events, const struct ctl_req *req)
{
	uint64_t until = clock_now() + CLI_DEADLINE_NS;
	struct pollfd p = {.fd = events, .events = POLLIN};
	struct ctl_event e;

	while (clock_now() < until) {
		if (poll(&p, 1, (int)((until - clock_now()) / NS_PER_MS) + 1) != 1 || ctl_client_event(events, &e) != 1)
			break;
		if (e.domid != req->domid || e.devid != req->devid)
			continue;
		if (e.kind == CTL_EV_NOTE)
			return cli_fail("%s", e.text);
		if (e.kind == CTL_EV_RESIZED || e.kind == CTL_EV_RESUMED) {
			puts(e.kind == CTL_EV_RESIZED ? e.text : "its stub was replaced meanwhile, and has looked: see bulkhead status");
			return CLI_OK;
		}
	}
	return cli_fail("no answer: see bulkhead events --past 20");
}

int cli_resize(struct cli *c, int argc, char **argv)
{
	struct ctl_req req = {.op = CTL_RESIZE};
	struct ctl_reply reply = {0};
	int rc, sock, events;

	if (argc != 2 && argc != 3)
		return cli_usage("resize takes VM VDEV, and of a memory disk the SIZE");
	if (argc == 3 && (spec_size(argv[2], &req.arg) || !req.arg))
		return cli_usage("%s is no size; 64M, 2G and so on are", argv[2]);
	rc = name_device(c, &req, argv[0], argv[1]);
	if (rc)
		return rc;
	sock = cli_supervisor(c);
	events = sock < 0 ? -1 : cli_supervisor(c);
	if (events < 0)
		return CLI_FAILED;
	rc = ctl_client_events(events, 0, &reply);
	if (rc >= 0)
		rc = ctl_client_ask(sock, &req, &reply);
	if (rc < 0)
		return cli_fail("%s", reply.text[0] ? reply.text : err_str(rc));
	if (!reply.text[0])
		return await_size(events, &req);
	puts(reply.text);
	return CLI_OK;
}

int cli_filter(struct cli *c, int argc, char **argv)
{
	struct ctl_req req = {.op = CTL_FILTER};
	size_t n = 0;

	if (argc < 3)
		return cli_usage("filter takes VM VDEV and KEY=VALUE..., such as loss=1%% delay=5ms, or off");
	for (int i = 2; i < argc && (argc != 3 || strcmp(argv[i], "off") != 0); i++) {
		n += (size_t)snprintf(req.text + n, sizeof(req.text) - n, "%s%s", n ? "," : "", argv[i]);
		if (n >= sizeof(req.text))
			return cli_usage("a filter of so many words is none");
	}
	return ask(c, &req, argv[0], argv[1]);
}
