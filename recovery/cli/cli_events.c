/* cli_events.c - a live log of what the supervisor saw and did. */
#include "recovery/cli/cli.h"
#include "recovery/ctl/ctl_client.h"
#include "ring/os/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* From the notice of the death on. */
static void add_steps(json_t *j, const struct ctl_event *e)
{
	json_t *steps = json_object();

	for (unsigned i = 0; i < CTL_STEPS; i++)
		json_object_set_new(steps, ctl_step_name((enum ctl_step)i),
				    json_real(((double)e->at[i] - (double)e->at[CTL_AT_NOTICED]) / 1e6));
	json_object_set_new(j, "steps_ms", steps);
}

static void print_json(const struct ctl_event *e)
{
	json_t *j = json_pack("{s:f, s:I, s:s, s:i, s:i, s:s, s:I, s:f, s:i, s:i, s:i, s:s}", "time",
			      (double)e->wall_ns / 1e9, "monotonic_ns", (json_int_t)e->mono_ns, "event",
			      ctl_event_name((enum ctl_event_kind)e->kind), "domid", (int)e->domid, "devid", (int)e->devid,
			      "vdev", e->vdev, "generation", (json_int_t)e->generation, "outage_ms",
			      (double)e->outage_ns / 1e6, "pid", e->pid, "signal", e->signal, "missed", (int)e->missed,
			      "text", e->text);

	if (e->kind == CTL_EV_RESUMED)
		add_steps(j, e);
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(j);
}

static void print_line(const struct ctl_event *e)
{
	time_t sec = (time_t)(e->wall_ns / NS_PER_S);
	char when[32];
	struct tm tm;

	localtime_r(&sec, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	printf("%s.%06llu ", when, (unsigned long long)(e->wall_ns % NS_PER_S / NS_PER_US));
	if (e->vdev[0])
		printf("dom%u/%-5s ", e->domid, e->vdev);
	printf("%-13s", ctl_event_name((enum ctl_event_kind)e->kind));
	if (e->generation)
		printf(" gen %llu", (unsigned long long)e->generation);
	if (e->pid)
		printf(" pid %d", e->pid);
	if (e->signal)
		printf(" SIG%s", sigabbrev_np(e->signal) ? sigabbrev_np(e->signal) : "?");
	if (e->outage_ns)
		printf(" outage %.3f ms", (double)e->outage_ns / 1e6);
	printf("%s%s\n", e->text[0] ? " " : "", e->text);
	if (e->missed)
		printf("(%u events missed)\n", e->missed);
}

static void print(const struct cli *c, const struct ctl_event *e)
{
	if (c->json)
		print_json(e);
	else
		print_line(e);
	if (fflush(stdout))
		exit(CLI_OK); /* whoever read it has gone */
}

/* One supervisor's events, to its end. */
static void follow(const struct cli *c, int sock, uint64_t past)
{
	struct ctl_reply reply;
	struct ctl_event e;
	int rc = ctl_client_events(sock, past, &reply);

	while (rc >= 0 && (rc = ctl_client_event(sock, &e)) == 1)
		print(c, &e);
	close(sock);
}

/* A supervisor that was killed is back in a moment; what its successor has seen until we reach it is among its past. */
static int again(const struct cli *c)
{
	uint64_t deadline = clock_now() + CLI_DEADLINE_NS;
	int sock;

	while ((sock = ctl_client_open(c->runtime_dir)) < 0 && clock_now() < deadline)
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	return sock;
}

int cli_events(struct cli *c, int argc, char **argv)
{
	uint64_t past = 0;
	int sock;

	for (int i = 0; i < argc; i++) {
		char *end = NULL;

		if (strcmp(argv[i], "--past") == 0 && i + 1 < argc)
			past = strtoul(argv[++i], &end, 10);
		if (!end || *end)
			return cli_usage("events takes [--past N], not %s", argv[i]);
	}
	sock = cli_supervisor(c);
	if (sock < 0)
		return CLI_FAILED;
	for (; sock >= 0; sock = again(c), past = CTL_EVENTS_PAST)
		follow(c, sock, past);
	return cli_fail("the supervisor in %s has ended", c->runtime_dir);
}
