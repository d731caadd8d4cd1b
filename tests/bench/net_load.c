#include "tests/bench/net_load.h"

#include "ring/os/clock.h"
#include "tests/bench/net_path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FRAME 64u
#define GAP_NS (10 * NS_PER_US) /* between packets: how exact a pause is known */
#define BATCH 64u

int net_load_open(struct net_load *l, const char *runtime_dir, const char *domain, const char *ifname, bool from_guest, char *err,
		  size_t size)
{
	const struct netfront_open o = {.provider = "local", .runtime_dir = runtime_dir, .domain = domain, .queues = 1};
	struct flow_end guest = {.fd = -1}, world = {.socket = true};
	int rc = 0;

	*l = (struct net_load){.sock = -1, .from_guest = from_guest};
	if (ifname) {
		l->sock = net_path_socket(ifname, from_guest, err, size);
		if (l->sock < 0)
			return l->sock;
	}
	rc = netfront_open(&o, &l->f, err, size);
	if (rc)
		return rc;
	if (ifname && net_path_up(ifname)) {
		snprintf(err, size, "%s does not go up", ifname);
		return -EIO;
	}
	flow_packet(l->packet, FRAME, false, 0);
	guest.guest = netfront_get_queue(l->f, 0);
	world.fd = l->sock;
	l->from = from_guest ? guest : world;
	l->to = from_guest ? world : guest;
	l->next = ifname != NULL;
	return 0;
}

static void send_next(struct net_load *l, uint64_t now)
{
	memcpy(l->packet + FLOW_NUMBER_AT, &l->sent, sizeof(l->sent));
	l->next = now + GAP_NS;
	if (flow_give(&l->from, l->packet, NETPORT_HDR + FRAME) == 0)
		l->sent++;
}

static void look_at(struct net_load *l, int len)
{
	uint64_t n;

	if (!l->next || len != (int)(NETPORT_HDR + FRAME))
		return; /* not ours */
	memcpy(&n, l->came_in + FLOW_NUMBER_AT, sizeof(n));
	if (n < l->number) {
		l->twice++;
		return;
	}
	l->lost += n - l->number;
	l->number = n + 1;
}

int net_load_poll(struct net_load *l, uint64_t now)
{
	int n = 0, len = 1, rc;

	if (l->next && now >= l->next)
		send_next(l, now);
	for (; n < (int)BATCH && (len = flow_take(&l->to, l->came_in)) > 0; n++)
		look_at(l, len);
	rc = netfront_poll(netfront_get_queue(l->f, 0));
	l->came += (unsigned)n;
	return len < 0 ? len : rc < 0 ? rc : n;
}

int net_load_check(const struct net_load *l, unsigned deaths)
{
	if (l->lost > (l->from_guest ? 0 : deaths) || l->twice > (l->from_guest ? deaths : 0))
		return -EBADMSG;
	return l->came ? 0 : -ENODATA;
}

void net_load_close(struct net_load *l)
{
	netfront_close(l->f);
	if (l->sock >= 0)
		close(l->sock);
	l->f = NULL;
	l->sock = -1;
}
