/* netback_ctrl.c - what the guest says once, by its control ring or by multicast requests: stored before it is answered. All of it may be
 * done again. */
#include "backend/net/netback_priv.h"

#define MCAST_SIZE 6u

/* ---- the state, under the device's lock */

void net_show_word(struct netback *b)
{
	bool hash = b->net.hash_alg == XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ && b->net.hash_flags;

	store_relaxed(&b->net_word, (b->net.mcast_on ? NET_MCAST : 0u) | (hash ? NET_HASH : 0u));
}

static void set(struct netback *b, const struct njrnl_net *n)
{
	b->net = *n;
	njrnl_net_set(&b->jrnl, &b->net);
	net_show_word(b);
}

/* ---- multicast */

static uint32_t find(const struct njrnl_net *n, const uint8_t *mac)
{
	uint32_t i = 0;

	while (i < n->nmcast && memcmp(n->mcast[i], mac, MCAST_SIZE) != 0)
		i++;
	return i;
}

int net_mcast(struct netback *b, bool add, const uint8_t mac[6])
{
	struct njrnl_net n;
	uint32_t at;
	int rc = 0;

	net_lock(b);
	n = b->net;
	at = find(&n, mac);
	if (add && at == NJRNL_MCAST) {
		rc = -ENOSPC;
	} else if (add && at == n.nmcast) {
		memcpy(n.mcast[n.nmcast++], mac, MCAST_SIZE);
	} else if (!add && at < n.nmcast) {
		memcpy(n.mcast[at], n.mcast[--n.nmcast], MCAST_SIZE);
		memset(n.mcast[n.nmcast], 0, MCAST_SIZE);
	}
	if (n.nmcast != b->net.nmcast) {
		if (NMUTANT(MCAST_UNSAID))
			b->net = n;
		else
			set(b, &n);
	}
	net_unlock(b);
	return rc;
}

void netback_multicast(struct netback *b, bool listed) { store_relaxed(&b->mcast_wish, listed ? NET_WISH_LISTED : NET_WISH_ALL); }

void net_mcast_obey(struct netback *b)
{
	uint32_t wish = exchange_acq_rel(&b->mcast_wish, NET_WISH_NONE);
	struct njrnl_net n;

	net_lock(b);
	n = b->net;
	n.mcast_on = wish == NET_WISH_LISTED;
	if (wish && n.mcast_on != b->net.mcast_on)
		set(b, &n);
	net_unlock(b);
}

bool net_mcast_wanted(struct netback *b, const uint8_t *frame)
{
	static const uint8_t broadcast[MCAST_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	bool wanted;

	if (!(frame[0] & 1) || memcmp(frame, broadcast, MCAST_SIZE) == 0)
		return true;
	net_lock(b);
	wanted = find(&b->net, frame) < b->net.nmcast;
	net_unlock(b);
	return wanted;
}

/* ---- hash */

void net_hash(struct netback *b, const uint8_t *frame, uint32_t len, bool must, struct net_in *in)
{
	uint8_t key[NJRNL_KEY];
	uint32_t flags;

	net_lock(b);
	memcpy(key, b->net.key, sizeof(key));
	flags = b->net.hash_flags;
	net_unlock(b);
	in->hashed = netif_frame_hash(frame, len, flags, key, sizeof(key), &in->hash, &in->hash_type) ||
		     (must && netif_frame_hash(frame, len, NETIF_HASH_FLAGS, key, sizeof(key), &in->hash, &in->hash_type));
}

/* len bytes from the start of a guest's page. */
static bool fetch(struct netback *b, uint32_t gref, void *to, size_t len)
{
	struct hv_copy c = {.gref = gref, .len = (uint16_t)len, .local = to};

	net_copy(b, &c, len ? 1 : 0);
	return c.status == 0;
}

static uint32_t set_key(struct netback *b, struct njrnl_net *n, uint32_t gref, uint32_t len)
{
	if (len > NJRNL_KEY)
		return XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW;
	memset(n->key, 0, sizeof(n->key));
	n->key_len = len;
	return fetch(b, gref, n->key, len) ? XEN_NETIF_CTRL_STATUS_SUCCESS : XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
}

/* Lengths and offsets are the guest's: nothing may wrap (XSA-270). Nothing is changed in part. */
static uint32_t set_mapping(struct netback *b, struct njrnl_net *n, uint32_t gref, uint32_t len, uint32_t off)
{
	if (len > n->mapping_size || off > n->mapping_size - len)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	if (!fetch(b, gref, &n->mapping[off], len * sizeof(n->mapping[0])))
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	for (uint32_t i = 0; i < len; i++)
		if (n->mapping[off + i] >= b->conn.nqueues)
			return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_mapping_size(struct njrnl_net *n, uint32_t size)
{
	if (size > NJRNL_MAPPING)
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	n->mapping_size = size;
	memset(n->mapping, 0, sizeof(n->mapping));
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

static uint32_t set_flags(struct njrnl_net *n, uint32_t flags)
{
	if (n->hash_alg == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE || (flags & ~(uint32_t)NETIF_HASH_FLAGS))
		return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
	n->hash_flags = flags;
	return XEN_NETIF_CTRL_STATUS_SUCCESS;
}

/* What a message makes of the state. Its status; *data: of the answer. */
static uint32_t apply(struct netback *b, const struct netif_ctrl *c, struct njrnl_net *n, uint32_t *data)
{
	*data = 0;
	switch (c->type) {
	case XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM:
		if (c->data[0] > XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ)
			return XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER;
		n->hash_alg = c->data[0];
		return XEN_NETIF_CTRL_STATUS_SUCCESS;
	case XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS:
		if (n->hash_alg == XEN_NETIF_CTRL_HASH_ALGORITHM_NONE)
			return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
		*data = NETIF_HASH_FLAGS;
		return XEN_NETIF_CTRL_STATUS_SUCCESS;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS:
		return set_flags(n, c->data[0]);
	case XEN_NETIF_CTRL_TYPE_SET_HASH_KEY:
		return set_key(b, n, c->data[0], c->data[1]);
	case XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE:
		*data = NJRNL_MAPPING;
		return XEN_NETIF_CTRL_STATUS_SUCCESS;
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE:
		return set_mapping_size(n, c->data[0]);
	case XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING:
		return set_mapping(b, n, c->data[0], c->data[1], c->data[2]);
	default:
		return XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED;
	}
}

/* ---- the ring: one message at a time */

void net_ctrl_publish(struct netback *b, uint64_t prod, bool always_notify)
{
	uint64_t old = b->ctrl_shown;
	bool wanted;

	njrnl_ctrl_publish(&b->jrnl, prod);
	wanted = netif_back_publish(&b->ctrl, old, prod);
	b->ctrl_shown = prod;
	if (wanted || always_notify)
		hv_port_notify(b->ctrl_port);
}

/* The message in the journal, the last one taken. Only this thread and multicast requests change the state; pages of the guest's are
 * fetched without the lock. */
static void serve(struct netback *b)
{
	struct netif_ctrl c = netif_ctrl_of(b->jrnl.dev->ctrl_raw);
	struct njrnl_net n;
	uint32_t status = XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER, data = 0;

	njrnl_work(b->q[0].j, NJRNL_CTRL);
	net_lock(b);
	n = b->net;
	net_unlock(b);
	if (!b->ctrl_convict)
		status = apply(b, &c, &n, &data);
	b->ctrl_convict = false;
	net_lock(b);
	n.mcast_on = b->net.mcast_on;
	n.nmcast = b->net.nmcast;
	memcpy(n.mcast, b->net.mcast, sizeof(n.mcast));
	if (NMUTANT(CTRL_LATE)) {
		netif_back_ctrl_answer(&b->ctrl, b->ctrl_shown, b->jrnl.dev->ctrl_raw[0], status, data);
		net_ctrl_publish(b, b->ctrl_cons, false);
	}
	if (status == XEN_NETIF_CTRL_STATUS_SUCCESS && memcmp(&n, &b->net, sizeof(n)) != 0)
		set(b, &n);
	net_unlock(b);
	if (NMUTANT(CTRL_LATE))
		return;
	if (status == XEN_NETIF_CTRL_STATUS_SUCCESS)
		net_steer(b);
	netif_back_ctrl_answer(&b->ctrl, b->ctrl_shown, b->jrnl.dev->ctrl_raw[0], status, data);
	net_ctrl_publish(b, b->ctrl_cons, false);
	NET_COUNT(&b->q[0], net.ctrl, 1);
}

bool net_ctrl_turn(struct netback *b)
{
	int pending;
	uint64_t raw[2];

	if (b->ctrl_cons != b->ctrl_shown) { /* a former life took it */
		serve(b);
		return true;
	}
	if (load_relaxed(&b->draining))
		return false;
	pending = netif_back_pending(&b->ctrl, b->ctrl_cons, b->ctrl_shown);
	if (pending < 0)
		net_break(b, BE_BROKEN_RING, "the guest's index of control requests is out of range");
	if (pending <= 0)
		return false;
	netif_back_ctrl(&b->ctrl, b->ctrl_cons, raw);
	njrnl_ctrl_take(&b->jrnl, b->ctrl_cons, raw);
	b->ctrl_cons++;
	serve(b);
	return true;
}
