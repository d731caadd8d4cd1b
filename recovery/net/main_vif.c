/* bulkhead-vif - makes and undoes what connects a vif to this host's network (bulkhead-vif(8)). The supervisor starts it, so that
 * nothing here can hold it up; people and scripts may as well. */
#include "recovery/net/net_attach.h"
#include "recovery/net/net_state.h"
#include "ring/base/err.h"
#include "ring/os/rundir.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] = "usage: bulkhead-vif [--state=DIR] tap DEV [queues=N] [txqueuelen=N] [mtu=N]\n"
			    "       bulkhead-vif [--state=DIR] attach DEV mode=bridge|nat|route|openvswitch [KEY=VALUE]...\n"
			    "       bulkhead-vif [--state=DIR] detach DEV [keep-tap]\n"
			    "       bulkhead-vif [--state=DIR] list | detach-all\n";

static int say = -1; /* the supervisor's socket: it is told why */

static int complain(int rc, const char *err)
{
	fprintf(stderr, "bulkhead-vif: %s\n", err);
	if (say >= 0)
		send(say, err, strlen(err), MSG_NOSIGNAL | MSG_DONTWAIT);
	return rc == -EINVAL ? EXIT_USAGE : EXIT_TEMPORARY;
}

static int split(char *arg, char **value, char *err, size_t size)
{
	*value = strchr(arg, '=');
	if (!*value)
		return err_say(err, size, -EINVAL, "\"%.60s\" is not KEY=VALUE", arg);
	*(*value)++ = '\0';
	return 0;
}

static int make_tap(const char *dir, const char *dev, int n, char **args)
{
	struct tap_conf c = {.queues = 1};
	int fd[TAP_QUEUES_MAX], rc = 0;
	char err[400], *value;

	if (!tap_name_ok(dev))
		return complain(-EINVAL, "this is no name of an interface");
	strcpy(c.name, dev);
	for (int i = 0; i < n && !rc; i++) {
		rc = split(args[i], &value, err, sizeof(err));
		if (rc)
			break;
		if (strcmp(args[i], "queues") == 0)
			c.queues = (unsigned)atoi(value);
		else if (strcmp(args[i], "txqueuelen") == 0)
			c.txqueuelen = (unsigned)atoi(value);
		else if (strcmp(args[i], "mtu") == 0)
			c.mtu = (unsigned)atoi(value);
		else
			rc = err_say(err, sizeof(err), -EINVAL, "\"%.32s\" is no option of a tap", args[i]);
	}
	if (!rc)
		rc = net_tap_make(dir, &c, fd, err, sizeof(err));
	return rc ? complain(rc, err) : EXIT_DONE;
}

/* What the VM is to use, "ip=A gateway=B ip6=C gateway6=D", as far as there is any. */
static void settled(const struct net_result *r, char *text, size_t size)
{
	const struct {
		const char *what;
		const struct net_ip *ip;
	} all[] = {{"ip", &r->guest[0]}, {"gateway", &r->gateway[0]}, {"ip6", &r->guest[1]}, {"gateway6", &r->gateway[1]}};
	char ip[NET_IP_TEXT];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (!all[i].ip->family)
			continue;
		net_ip_plain(all[i].ip, ip);
		n += (size_t)snprintf(text + n, size - n, "%s%s=%s", n ? " " : "", all[i].what, ip);
	}
}

static int attach(const char *dir, const char *dev, int n, char **args)
{
	struct net_vif v = {0};
	struct net_result r;
	char err[400], *value;
	int rc = 0;

	snprintf(v.dev, sizeof(v.dev), "%s", dev);
	for (int i = 0; i < n && !rc; i++) {
		rc = split(args[i], &value, err, sizeof(err));
		if (!rc)
			rc = net_vif_set(&v, args[i], value, err, sizeof(err));
	}
	if (!rc)
		rc = net_attach(dir, &v, &r, err, sizeof(err));
	if (rc)
		return complain(rc, err);
	settled(&r, err, sizeof(err));
	if (say >= 0) {
		send(say, err, strlen(err), MSG_NOSIGNAL | MSG_DONTWAIT);
		return EXIT_DONE;
	}
	printf("mtu=%u\n", r.mtu);
	for (char *at = err, *line; (line = strsep(&at, " "));)
		if (*line)
			puts(line);
	return EXIT_DONE;
}

static int detach(const char *dir, const char *dev, bool keep_tap)
{
	char err[400];
	int rc = net_detach(dir, dev, keep_tap, err, sizeof(err));

	return rc ? complain(rc, err) : EXIT_DONE;
}

struct names {
	char dev[1024][TAP_NAME_MAX];
	unsigned n;
};

static void collect(void *arg, const char *dev)
{
	struct names *all = arg;

	if (all->n < ARRAY_LEN(all->dev) && tap_name_ok(dev))
		strcpy(all->dev[all->n++], dev);
}

/* Of all that have a record: says or undoes them. */
static int all(const char *dir, bool undo)
{
	static struct names names;
	int rc = net_state_list(dir, collect, &names), status = EXIT_DONE;

	if (rc)
		return complain(rc, err_str(rc));
	for (unsigned i = 0; i < names.n; i++)
		if (!undo)
			puts(names.dev[i]);
		else if (detach(dir, names.dev[i], false) != EXIT_DONE)
			status = EXIT_TEMPORARY;
	return status;
}

/* What is attached for a supervisor that is gone, its successor may want otherwise. */
static void end_with_supervisor(void)
{
	struct pollfd p = {.fd = say};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&p, 1, 0) == 1) /* it was gone before */
		_exit(EXIT_TEMPORARY);
}

int main(int argc, char **argv)
{
	char runtime[256], dir[300];
	int i = 1;

	if (argc > 1 && strncmp(argv[1], "--say=", 6) == 0)
		say = atoi(argv[i++] + 6);
	if (argc > i && strncmp(argv[i], "--state=", 8) == 0) {
		snprintf(dir, sizeof(dir), "%s", argv[i++] + 8);
	} else if (rundir_default(NULL, runtime, sizeof(runtime)) || rundir_file(runtime, "net", dir, sizeof(dir))) {
		return complain(-EINVAL, "the runtime directory's name is too long");
	}
	if (argc - i == 1 && strcmp(argv[i], "list") == 0)
		return all(dir, false);
	if (argc - i == 1 && strcmp(argv[i], "detach-all") == 0)
		return all(dir, true);
	if (argc - i >= 2 && strcmp(argv[i], "tap") == 0)
		return make_tap(dir, argv[i + 1], argc - i - 2, argv + i + 2);
	if (say >= 0 && argc > i && strcmp(argv[i], "attach") == 0)
		end_with_supervisor();
	if (argc - i >= 2 && strcmp(argv[i], "attach") == 0)
		return attach(dir, argv[i + 1], argc - i - 2, argv + i + 2);
	if (argc - i == 2 && strcmp(argv[i], "detach") == 0)
		return detach(dir, argv[i + 1], false);
	if (argc - i == 3 && strcmp(argv[i], "detach") == 0 && strcmp(argv[i + 2], "keep-tap") == 0)
		return detach(dir, argv[i + 1], true);
	fputs(usage, stderr);
	return EXIT_USAGE;
}
