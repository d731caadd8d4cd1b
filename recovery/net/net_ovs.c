/* net_ovs.c - a port of Open vSwitch, by its own tools: ovs-vsctl for the port, ovs-ofctl for flows that let a guest speak for itself
 * only. They end with us, so that none of them does anything after a death. */
#include "recovery/net/net_make.h"

#include "ring/base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 48
#define ARG_MAX_LEN 320

struct args {
	char text[ARGS_MAX][ARG_MAX_LEN];
	char *arg[ARGS_MAX + 1];
	unsigned n;
};

static void PRINTF_LIKE(2, 3) put(struct args *a, const char *fmt, ...)
{
	va_list ap;

	if (a->n == ARGS_MAX)
		return; /* more than any vif asks for */
	va_start(ap, fmt);
	vsnprintf(a->text[a->n], ARG_MAX_LEN, fmt, ap);
	va_end(ap);
	a->arg[a->n] = a->text[a->n];
	a->n++;
}

/* All that somebody says, as far as it goes into buf: they say a line in pieces. */
static void hear(int fd, char *buf, size_t size)
{
	char rest[256];
	size_t have = 0;
	ssize_t n = 1;

	while (n > 0) {
		bool full = have + 1 == size;

		n = read(fd, full ? rest : buf + have, full ? sizeof(rest) : size - 1 - have);
		have += n > 0 && !full ? (size_t)n : 0;
	}
	buf[have] = '\0';
}

/* input: on its stdin; may be "". Its first line of complaint goes into err. -ENOENT: there is no such program. */
static int run(const struct net_job *j, struct args *a, const char *input)
{
	char said[200] = "";
	int in[2], out[2], status = -1;
	ssize_t n;
	pid_t pid;

	a->arg[a->n] = NULL;
	if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (pipe2(out, O_CLOEXEC)) {
		close(in[0]);
		close(in[1]);
		return -errno;
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || dup2(out[1], 2) < 0)
			_exit(126);
		execvp(a->arg[0], a->arg);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	/* It is less than what a pipe holds. */
	n = pid > 0 && input[0] ? write(in[1], input, strlen(input)) : 0;
	close(in[1]);
	if (n >= 0)
		hear(out[0], said, sizeof(said));
	if (pid > 0 && waitpid(pid, &status, 0) != pid)
		status = -1;
	close(out[0]);
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_say(j->err, j->size, -ENOENT, "%s: %s is not here: install openvswitch-switch", j->vif->dev, a->arg[0]);
	return err_say(j->err, j->size, -EIO, "%s: %s", j->vif->dev, said[0] ? strtok(said, "\n") : "Open vSwitch's tools fail");
}

/* ".5:6:7": tag 5, trunk of 6 and 7. */
static void put_vlans(struct args *a, const char *vlans)
{
	char trunks[128];

	if (vlans[0] == '.') {
		size_t len = strcspn(vlans + 1, ":");

		put(a, "tag=%.*s", (int)len, vlans + 1);
		vlans += 1 + len;
	}
	if (vlans[0] == ':') {
		snprintf(trunks, sizeof(trunks), "%s", vlans + 1);
		for (char *c = trunks; *c; c++)
			*c = *c == ':' ? ',' : *c;
		put(a, "trunks=%s", trunks);
	}
}

static void begin(struct args *a, const char *program)
{
	a->n = 0;
	put(a, "%s", program);
	put(a, "--timeout=30");
}

static void external_id(struct args *a, const char *dev, const char *key, const char *value)
{
	put(a, "--");
	put(a, "set");
	put(a, "interface");
	put(a, "%s", dev);
	put(a, "external-ids:%s=\"%s\"", key, value);
}

static int add_port(struct net_job *j)
{
	const struct net_vif *v = j->vif;
	const unsigned char *m = v->mac;
	char mac[18];
	struct args a;

	begin(&a, "ovs-vsctl");
	put(&a, "--");
	put(&a, "--may-exist");
	put(&a, "add-port");
	put(&a, "%s", v->bridge);
	put(&a, "%s", v->dev);
	put_vlans(&a, v->vlans);
	if (v->vm[0])
		external_id(&a, v->dev, "xen-vm-name", v->vm);
	if (v->uuid[0])
		external_id(&a, v->dev, "xen-vm-uuid", v->uuid);
	if (v->has_mac) {
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
		external_id(&a, v->dev, "attached-mac", mac);
	}
	return run(j, &a, "");
}

/* ---- flows */

/* One a vif: FNV-1a of its name, behind "bh". */
static unsigned long long cookie(const char *dev)
{
	unsigned h = 2166136261u;

	for (; *dev; dev++)
		h = (h ^ (unsigned char)*dev) * 16777619u;
	return 0x6268000000000000ull | h;
}

struct flows {
	char s[2 * NET_CMD_MAX];
	size_t len;
	char head[160]; /* what each begins with */
};

static void PRINTF_LIKE(4, 5) flow(struct flows *f, unsigned priority, const char *actions, const char *fmt, ...)
{
	char match[400];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(match, sizeof(match), fmt, ap);
	va_end(ap);
	n = snprintf(f->s + f->len, sizeof(f->s) - f->len, "priority=%u,%s%s,actions=%s\n", priority, f->head, match, actions);
	f->len = MIN(f->len + (size_t)MAX(n, 0), sizeof(f->s) - 1);
}

/* What a guest of this MAC may say with this address. */
static void ip_flows(struct flows *f, const char *mac, const struct net_ip *ip, const struct net_ip *const *all, unsigned n)
{
	static const char none[] = "00:00:00:00:00:00"; /* the message has no such option */
	char a[NET_IP_TEXT], b[NET_IP_TEXT];

	net_ip_text(ip, a);
	if (ip->family == AF_INET) {
		flow(f, 40000, "normal", ",arp,dl_src=%s,arp_sha=%s,arp_spa=%s", mac, mac, a);
		flow(f, 40000, "normal", ",arp,dl_src=%s,arp_sha=%s,arp_spa=0.0.0.0,arp_tpa=%s", mac, mac, a);
		flow(f, 40000, "normal", ",ip,dl_src=%s,nw_src=%s", mac, a);
		return;
	}
	flow(f, 40000, "normal", ",ipv6,dl_src=%s,ipv6_src=%s", mac, a);
	flow(f, 40020, "normal", ",icmp6,dl_src=%s,ipv6_src=%s,icmp_type=135,icmp_code=0,nd_sll=%s", mac, a, mac);
	flow(f, 40020, "normal", ",icmp6,dl_src=%s,ipv6_src=%s,icmp_type=135,icmp_code=0,nd_sll=%s", mac, a, none);
	for (unsigned i = 0; i < n; i++)
		if (all[i]->family == AF_INET6) {
			net_ip_text(all[i], b);
			flow(f, 40020, "normal", ",icmp6,dl_src=%s,ipv6_src=%s,icmp_type=136,icmp_code=0,nd_target=%s,nd_tll=%s", mac, a,
			     b, mac);
			flow(f, 40020, "normal", ",icmp6,dl_src=%s,ipv6_src=%s,icmp_type=136,icmp_code=0,nd_target=%s,nd_tll=%s", mac, a,
			     b, none);
		}
}

static void all_flows(struct flows *f, const struct net_vif *v, const char *mac)
{
	static const unsigned no_router[] = {134, 137};
	const struct net_ip own = net_link_local(v->mac), *all[NET_IPS_MAX + 1] = {&own};
	unsigned n = 1;

	for (unsigned i = 0; i < v->nips; i++)
		all[n++] = &v->ip[i];
	for (unsigned i = 0; i < n; i++)
		ip_flows(f, mac, all[i], all, n);
	flow(f, 40030, "drop", ",udp,tp_src=67,tp_dst=68");
	flow(f, 40030, "drop", ",udp6,tp_src=547,tp_dst=546");
	for (size_t i = 0; i < ARRAY_LEN(no_router); i++)
		flow(f, 40030, "drop", ",icmp6,icmp_type=%u", no_router[i]);
	flow(f, 40000, "normal", ",udp,dl_src=%s,nw_src=0.0.0.0,tp_src=68,tp_dst=67", mac);
	flow(f, 40020, "normal", ",icmp6,dl_src=%s,ipv6_src=::,icmp_type=135,icmp_code=0", mac);
	flow(f, 40020, "normal", ",icmp6,dl_src=%s,ipv6_src=::,icmp_type=143", mac);
	flow(f, 40010, "drop", ",icmp6,icmp_type=135");
	flow(f, 40010, "drop", ",icmp6,icmp_type=136");
}

static int add_flows(struct net_job *j)
{
	const struct net_vif *v = j->vif;
	const unsigned char *m = v->mac;
	struct flows f = {.len = 0};
	char key[64], mac[18];
	struct args a;
	int rc;

	snprintf(key, sizeof(key), "flows %s 0x%llx", v->bridge, cookie(v->dev));
	rc = net_state_add(j->state, key, "");
	if (rc)
		return net_fail(j, rc, "its record can't be written");
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
	snprintf(f.head, sizeof(f.head), "cookie=0x%llx,in_port=\"%s\"", cookie(v->dev), v->dev);
	if (v->nips)
		all_flows(&f, v, mac);
	else {
		flow(&f, 40020, "normal", ",arp,dl_src=%s,arp_sha=%s", mac, mac);
		flow(&f, 40010, "drop", ",arp");
		flow(&f, 40000, "normal", ",dl_src=%s", mac);
	}
	flow(&f, 39000, "drop", "%s", "");
	if (f.len + 1 >= sizeof(f.s))
		return net_fail(j, -E2BIG, "too many addresses");
	begin(&a, "ovs-ofctl");
	put(&a, "--names");
	put(&a, "--bundle");
	put(&a, "add-flows");
	put(&a, "%s", v->bridge);
	put(&a, "-");
	return run(j, &a, f.s);
}

int net_make_ovs(struct net_job *j)
{
	char key[64];
	int rc;

	snprintf(key, sizeof(key), "ovs %s", j->vif->bridge);
	rc = net_state_add(j->state, key, "");
	if (rc)
		return net_fail(j, rc, "its record can't be written");
	rc = add_port(j);
	return rc || !j->vif->antispoof ? rc : add_flows(j);
}

int net_undo_ovs(struct net_job *j, const char *bridge)
{
	struct args a;
	int rc;

	begin(&a, "ovs-vsctl");
	put(&a, "--");
	put(&a, "--if-exists");
	put(&a, "--with-iface");
	put(&a, "del-port");
	put(&a, "%s", bridge);
	put(&a, "%s", j->vif->dev);
	rc = run(j, &a, "");
	return rc == -ENOENT ? 0 : rc; /* nothing can have been made then */
}

int net_undo_flows(struct net_job *j, const char *what)
{
	char bridge[64], number[40];
	struct args a;
	int rc;

	if (sscanf(what, "%63s %39s", bridge, number) != 2)
		return -EBADMSG;
	begin(&a, "ovs-ofctl");
	put(&a, "del-flows");
	put(&a, "%s", bridge);
	put(&a, "cookie=%s/-1", number);
	rc = run(j, &a, "");
	return rc == -ENOENT ? 0 : rc;
}
