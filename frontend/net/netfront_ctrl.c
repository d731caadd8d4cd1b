/* The control ring: one request at a time, its answer waited for. */
#include "frontend/net/netfront_priv.h"
#include "ring/base/log.h"
#include "ring/os/clock.h"

#include <poll.h>
#include <string.h>

#define PATIENCE_NS (10 * NS_PER_S)
#define LOOK_MS 20 /* also without an event: a backend may have died between answer and notification */

int netfront_ctrl_open(struct netfront *f)
{
	struct netfront_ctrl *c = &f->ctrl;
	int rc = netfront_pages_open(f, &c->pages, 2, false);

	if (rc)
		return rc;
	netif_front_init(&c->ring, netfront_page(&c->pages, 0), NETIF_CTRL_RING, NETIF_CTRL_ENTRY);
	pthread_mutex_lock(&f->hv_lock);
	rc = hv_port_alloc(f->hv, f->back_domid, &c->port);
	pthread_mutex_unlock(&f->hv_lock);
	return rc;
}

void netfront_ctrl_close(struct netfront *f)
{
	struct netfront_ctrl *c = &f->ctrl;

	if (c->port) {
		pthread_mutex_lock(&f->hv_lock);
		hv_port_close(c->port);
		pthread_mutex_unlock(&f->hv_lock);
	}
	c->port = NULL;
	netfront_pages_close(f, &c->pages);
}

static int status_errno(uint32_t status)
{
	switch (status) {
	case XEN_NETIF_CTRL_STATUS_SUCCESS:
		return 0;
	case XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	case XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW:
		return -EOVERFLOW;
	default:
		return -EINVAL;
	}
}

/* 1 when answers wait; 0: not within the patience; negative errno. */
static int wait_answer(struct netfront *f)
{
	struct netfront_ctrl *c = &f->ctrl;
	struct pollfd p = {.fd = hv_port_fd(c->port), .events = POLLIN};
	uint64_t until = clock_now() + PATIENCE_NS;
	int n;

	for (;;) {
		hv_port_clear(c->port);
		netif_front_arm(&c->ring, 1);
		n = netif_front_pending(&c->ring);
		if (n || load_relaxed(&f->ended) || clock_now() > until)
			return n ? n : load_relaxed(&f->ended);
		if (poll(&p, 1, LOOK_MS) < 0 && errno != EINTR)
			return -errno;
	}
}

static int take_answer(struct netfront_ctrl *c, uint16_t type, uint32_t *answer)
{
	struct xen_netif_ctrl_response rsp = netif_front_ctrl_answer(&c->ring, c->ring.taken++);

	if (rsp.id != c->id || rsp.type != type) {
		log_peer("the backend answered control request %u of type %u, which is not outstanding", rsp.id, rsp.type);
		return -EPEER;
	}
	if (answer)
		*answer = rsp.data;
	return status_errno(rsp.status);
}

/* An answer that never came leaves its request on the ring: it must not be taken for that of the next. */
static int ask(struct netfront *f, uint16_t type, const uint32_t data[3], uint32_t *answer)
{
	struct netfront_ctrl *c = &f->ctrl;
	int rc;

	if (c->ring.put != c->ring.taken)
		return -ETIMEDOUT;
	netif_front_ctrl_put(&c->ring, ++c->id, type, data);
	if (netif_front_publish(&c->ring))
		hv_port_notify(c->port);
	rc = wait_answer(f);
	if (rc > 0)
		rc = take_answer(c, type, answer);
	else if (rc == 0)
		rc = -ETIMEDOUT;
	if (rc == -EPEER)
		netfront_end(f, rc);
	return rc;
}

int netfront_ctrl(struct netfront *f, unsigned type, const uint32_t data[3], const void *page, size_t len, uint32_t *answer)
{
	struct netfront_ctrl *c = &f->ctrl;
	uint32_t words[3];
	int rc;

	if (!f->info.ctrl)
		return -ENOTSUP;
	if (len > BH_PAGE_SIZE || type > UINT16_MAX)
		return -EINVAL;
	pthread_mutex_lock(&c->lock);
	memcpy(words, data, sizeof(words));
	if (page) {
		memcpy(netfront_page(&c->pages, 1), page, len);
		words[0] = c->pages.gref[1];
	}
	rc = ask(f, (uint16_t)type, words, answer);
	pthread_mutex_unlock(&c->lock);
	return rc;
}
