/* Life of a network frontend: what is wanted, what is offered, open and close. */
#include "frontend/net/netfront_priv.h"
#include "ring/base/err.h"
#include "ring/os/clock.h"
#include "xenstore-glue/wire/xs_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_NS (10 * NS_PER_S)
#define RX_BUFFERS_MIN 32u /* the largest packet fits */

void netfront_choose(struct netfront *f, const struct netfront_open *o, const struct vif_offer *offer, const struct vif_told *told)
{
	bool sg = offer->sg && !o->no_sg, gso = sg && !o->no_gso;
	bool mcast = offer->mcast && o->mcast, csum = !o->no_csum;

	f->info = (struct netfront_info){
		.mtu = told->mtu ? told->mtu : VIF_MTU,
		.queues = MAX(1u, MIN(o->queues, offer->max_queues)),
		.rx_buffers = o->rx_buffers ? o->rx_buffers : NETIF_RING,
		.sg = sg,
		.gso4 = gso && csum && offer->gso4,
		.gso6 = gso && csum && offer->gso6 && offer->csum6,
		.csum4 = csum,
		.csum6 = csum && offer->csum6,
		.split = offer->split && !o->no_split,
		.ctrl = offer->ctrl_ring && !o->no_ctrl,
		.mcast = mcast,
		.frame_max = sg ? NETFRONT_FRAME_MAX : BH_PAGE_SIZE,
	};
	memcpy(f->info.mac, told->mac, sizeof(f->info.mac));
	f->ask = (struct vif_ask){.split = f->info.split, .rx_notify = true, .no_csum = !csum, .csum6 = f->info.csum6, .sg = sg,
				  .gso4 = f->info.gso4, .gso6 = f->info.gso6, .mcast = mcast,
				  .xdp_headroom = offer->xdp ? o->xdp_headroom : 0};
	store_relaxed(&f->carrier, 1);
}

static int check_open(const struct netfront_open *o, char *err, size_t size)
{
	unsigned n = o->rx_buffers;

	if (!o->domain)
		return err_say(err, size, -EINVAL, "a domain is needed");
	if (o->handle > UINT16_MAX)
		return err_say(err, size, -EINVAL, "handle %u: at most %u", o->handle, UINT16_MAX);
	if (o->queues > CONN_QUEUES_MAX)
		return err_say(err, size, -EINVAL, "%u queues: at most %u", o->queues, CONN_QUEUES_MAX);
	if (n && (!IS_POW2(n) || n < RX_BUFFERS_MIN || n > NETIF_RING))
		return err_say(err, size, -EINVAL, "%u buffers: 32, 64, 128 or 256", n);
	if (o->xdp_headroom > VIF_XDP_MAX)
		return err_say(err, size, -EINVAL, "%u bytes of headroom: at most %u", o->xdp_headroom, VIF_XDP_MAX);
	return 0;
}

static int open_xs(struct netfront *f, unsigned handle, char *err, size_t size)
{
	char path[XS_PATH_SIZE];
	struct fe_xs_cfg cfg = {.hv = f->hv, .hv_lock = &f->hv_lock, .path = path, .direct = true, .ops = &netfront_xs_ops, .dev = f};

	xs_path_frontend(path, hv_domid(f->hv), "vif", handle);
	return fe_xs_open(&cfg, &f->xs, err, size);
}

static void destroy(struct netfront *f)
{
	fe_xs_close(f->xs);
	for (unsigned i = 0; i < CONN_QUEUES_MAX; i++)
		netfront_queue_close(f->queue[i]);
	netfront_ctrl_close(f);
	hv_close(f->hv);
	pthread_mutex_destroy(&f->ctrl.lock);
	pthread_mutex_destroy(&f->hv_lock);
	free(f);
}

int netfront_open(const struct netfront_open *o, struct netfront **out, char *err, size_t size)
{
	uint64_t deadline = clock_now() + (o->timeout_ns ? o->timeout_ns : TIMEOUT_NS);
	struct netfront *f = calloc(1, sizeof(*f));
	char line[256] = "";
	int rc;

	*out = NULL;
	if (!f)
		return err_say(err, size, -ENOMEM, "out of memory");
	pthread_mutex_init(&f->hv_lock, NULL);
	pthread_mutex_init(&f->ctrl.lock, NULL);
	f->wanted = o;
	rc = check_open(o, line, sizeof(line));
	if (!rc)
		rc = fe_join(o->provider, o->runtime_dir, o->domain, &f->hv, line, sizeof(line));
	if (!rc)
		rc = open_xs(f, o->handle, line, sizeof(line));
	if (!rc)
		rc = fe_xs_connect(f->xs, deadline, line, sizeof(line));
	if (rc) {
		destroy(f);
		return err_say(err, size, rc, "vm %s, vif %u: %s", o->domain ? o->domain : "?", o->handle, line);
	}
	f->wanted = NULL;
	*out = f;
	return 0;
}

void netfront_cancel(struct netfront *f) { netfront_end(f, -ESHUTDOWN); }

void netfront_close(struct netfront *f)
{
	if (!f)
		return;
	netfront_end(f, -ESHUTDOWN);
	destroy(f);
}

void netfront_get_info(const struct netfront *f, struct netfront_info *info) { *info = f->info; }

bool netfront_carrier(const struct netfront *f) { return load_relaxed(&f->carrier); }
