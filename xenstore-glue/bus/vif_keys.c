/* What stands in the store for a vif, as values and back. */
#include "xenstore-glue/bus/vif_keys.h"

#include "ring/base/err.h"
#include "xenstore-glue/wire/xs_perm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HANDLE_MAX 0xffffu
#define RATE_BYTES_MAX (UINT64_MAX >> 1)
#define RATE_US_MAX 3600000000ull /* an hour */
#define MTU_MIN 68u		  /* IPv4's least */

/* ---- texts ---- */

static const char *const mode_names[VIF_NMODES] = {"", "bridge", "nat", "route", "openvswitch"};

const char *vif_mode_name(enum vif_mode mode) { return mode_names[mode]; }

int vif_mode_parse(const char *name, enum vif_mode *mode)
{
	for (unsigned m = VIF_BRIDGE; m < VIF_NMODES; m++)
		if (strcmp(mode_names[m], name) == 0) {
			*mode = (enum vif_mode)m;
			return 0;
		}
	return -EINVAL;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

int vif_mac_parse(const char *text, uint8_t mac[6])
{
	uint8_t out[6], any = 0;
	int high, low;

	if (strlen(text) != VIF_MAC_TEXT - 1)
		return -EINVAL;
	for (size_t i = 0; i < 6; i++) {
		high = nibble(text[3 * i]);
		low = nibble(text[3 * i + 1]);
		if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
			return -EINVAL;
		out[i] = (uint8_t)(high << 4 | low);
		any |= out[i];
	}
	if (!any || out[0] & 1)
		return -EINVAL;
	memcpy(mac, out, 6);
	return 0;
}

void vif_mac_format(const uint8_t mac[6], char text[VIF_MAC_TEXT])
{
	snprintf(text, VIF_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static bool mac_given(const uint8_t mac[6]) { return memcmp(mac, (const uint8_t[6]){0}, 6) != 0; }

int vif_rate_parse(const char *text, uint64_t *bytes, uint64_t *us)
{
	const char *comma = strchr(text, ',');
	char first[24];
	uint64_t b, u;

	if (!comma || (size_t)(comma - text) >= sizeof(first))
		return -EINVAL;
	memcpy(first, text, (size_t)(comma - text));
	first[comma - text] = '\0';
	if (!xs_kv_number(first, RATE_BYTES_MAX, &b) || !xs_kv_number(comma + 1, RATE_US_MAX, &u) || (u && !b))
		return -EINVAL;
	*bytes = u ? b : 0;
	*us = u;
	return 0;
}

bool vif_marked(const char *script)
{
	const char *slash = script ? strrchr(script, '/') : NULL, *name = slash ? slash + 1 : script;
	size_t n = strlen(VIF_SCRIPT);

	return name && strncmp(name, VIF_SCRIPT, n) == 0 && (!name[n] || name[n] == '-');
}

#define ANTISPOOF "-antispoof"

bool vif_antispoof_of_script(const char *script)
{
	const char *slash = strrchr(script, '/'), *name = slash ? slash + 1 : script;
	size_t n = strlen(VIF_SCRIPT ANTISPOOF);

	return strncmp(name, VIF_SCRIPT ANTISPOOF, n) == 0 && (!name[n] || name[n] == '-');
}

enum vif_mode vif_mode_of_script(const char *script)
{
	const char *slash = strrchr(script, '/'), *name = slash ? slash + 1 : script;
	enum vif_mode mode = VIF_BY_SCRIPT;

	if (vif_marked(name)) {
		name += strlen(VIF_SCRIPT) + (vif_antispoof_of_script(name) ? strlen(ANTISPOOF) : 0);
		if (!*name)
			return VIF_BRIDGE;
	} else {
		name += strncmp(name, "vif-", 4) == 0 ? strlen("vif") : strlen(name);
	}
	return *name && vif_mode_parse(name + 1, &mode) == 0 ? mode : VIF_BY_SCRIPT;
}

/* ---- what the toolstack wants ---- */

static void read_mac(struct xs_kv_in *in, uint8_t mac[6])
{
	const char *text = xs_kv_get(in->kvs, "mac");

	if (text && text[0] && vif_mac_parse(text, mac) && in->rc == 0)
		in->rc = err_say(in->err, in->size, in->bad, "%smac is \"%.40s\", not an interface's address as 00:16:3e:01:02:03 is",
				 in->who, text);
}

static uint32_t read_mtu(struct xs_kv_in *in, uint32_t absent)
{
	uint32_t mtu = (uint32_t)xs_kv_in_u64(in, "mtu", absent, VIF_MTU_MAX);

	if (mtu && mtu < MTU_MIN && in->rc == 0)
		in->rc = err_say(in->err, in->size, in->bad, "%smtu is %u, less than %u", in->who, mtu, MTU_MIN);
	return mtu;
}

static void read_rate(struct xs_kv_in *in, struct vif_wanted *w)
{
	const char *text = xs_kv_get(in->kvs, "rate");

	if (text && vif_rate_parse(text, &w->rate_bytes, &w->rate_us) && in->rc == 0)
		in->rc = err_say(in->err, in->size, in->bad, "%srate is \"%.40s\", not BYTES,MICROSECONDS", in->who, text);
}

static void read_mode(struct xs_kv_in *in, struct vif_wanted *w)
{
	const char *text = xs_kv_get(in->kvs, "mode");

	if (text && text[0] && vif_mode_parse(text, &w->mode) && in->rc == 0)
		in->rc = err_say(in->err, in->size, in->bad, "%smode is \"%.40s\", not bridge, nat, route or openvswitch", in->who,
				 text);
}

int vif_wanted_read(const struct xs_kvs *back, struct vif_wanted *w, char *err, size_t size)
{
	struct xs_kv_in in = {back, "", -EINVAL, err, size, 0};

	memset(w, 0, sizeof(*w));
	if (xs_kv_in_text(&in, "frontend", w->frontend, sizeof(w->frontend)) || !xs_kv_get(back, "frontend-id"))
		return err_say(err, size, -EINVAL, "no frontend or frontend-id");
	w->frontend_id = (uint32_t)xs_kv_in_u64(&in, "frontend-id", 0, XS_DOMID_FIRST_RESERVED - 1);
	w->online = xs_kv_in_bool(&in, "online", true);
	w->handle = (uint32_t)xs_kv_in_u64(&in, "handle", 0, HANDLE_MAX);
	read_mac(&in, w->mac);
	w->mtu = read_mtu(&in, 0);
	read_rate(&in, w);
	xs_kv_in_text(&in, "script", w->script, sizeof(w->script));
	xs_kv_in_text(&in, "type", w->type, sizeof(w->type));
	xs_kv_in_text(&in, "vifname", w->vifname, sizeof(w->vifname));
	xs_kv_in_text(&in, "bridge", w->bridge, sizeof(w->bridge));
	xs_kv_in_text(&in, "gatewaydev", w->gatewaydev, sizeof(w->gatewaydev));
	xs_kv_in_text(&in, "ip", w->ip, sizeof(w->ip));
	xs_kv_in_text(&in, "vlan", w->vlan, sizeof(w->vlan));
	read_mode(&in, w);
	w->antispoof = xs_kv_in_bool(&in, "antispoof", false) || vif_antispoof_of_script(w->script);
	xs_kv_in_text(&in, "params", w->params, sizeof(w->params));
	return in.rc;
}

static void out_given(struct xs_kv_out *o, const char *key, const char *val)
{
	if (val[0])
		xs_kv_out_text(o, key, val);
}

static void out_mac(struct xs_kv_out *o, const uint8_t mac[6])
{
	char text[VIF_MAC_TEXT];

	vif_mac_format(mac, text);
	if (mac_given(mac))
		xs_kv_out_text(o, "mac", text);
}

int vif_wanted_write(const struct vif_wanted *w, struct xs_kvs *back)
{
	struct xs_kv_out o = {back, 0};
	char rate[48];

	xs_kv_out_text(&o, "frontend", w->frontend);
	xs_kv_out_u64(&o, "frontend-id", w->frontend_id);
	xs_kv_out_u64(&o, "online", w->online);
	out_given(&o, "script", w->script);
	out_given(&o, "vifname", w->vifname);
	out_mac(&o, w->mac);
	out_given(&o, "ip", w->ip);
	out_given(&o, "gatewaydev", w->gatewaydev);
	snprintf(rate, sizeof(rate), "%llu,%llu", (unsigned long long)w->rate_bytes, (unsigned long long)w->rate_us);
	if (w->rate_us)
		xs_kv_out_text(&o, "rate", rate);
	if (w->mtu)
		xs_kv_out_u64(&o, "mtu", w->mtu);
	out_given(&o, "vlan", w->vlan);
	out_given(&o, "bridge", w->bridge);
	xs_kv_out_u64(&o, "handle", w->handle);
	xs_kv_out_text(&o, "type", w->type[0] ? w->type : "vif");
	out_given(&o, "mode", vif_mode_name(w->mode));
	if (w->antispoof)
		xs_kv_out_u64(&o, "antispoof", 1);
	out_given(&o, "params", w->params);
	xs_kv_out_text(&o, "state", "1");
	return o.rc;
}

int vif_told_read(const struct xs_kvs *front, struct vif_told *t, char *err, size_t size)
{
	struct xs_kv_in in = {front, "frontend's directory: ", -EINVAL, err, size, 0};

	memset(t, 0, sizeof(*t));
	t->handle = (uint32_t)xs_kv_in_u64(&in, "handle", 0, HANDLE_MAX);
	read_mac(&in, t->mac);
	t->mtu = read_mtu(&in, VIF_MTU);
	t->trusted = xs_kv_in_bool(&in, "trusted", true);
	return in.rc;
}

int vif_told_write(const struct vif_told *t, struct xs_kvs *front)
{
	struct xs_kv_out o = {front, 0};

	xs_kv_out_u64(&o, "handle", t->handle);
	out_mac(&o, t->mac);
	xs_kv_out_u64(&o, "mtu", t->mtu ? t->mtu : VIF_MTU);
	xs_kv_out_u64(&o, "trusted", t->trusted);
	return o.rc;
}

enum vif_hotplug vif_hotplug_read(const struct xs_kvs *back)
{
	const char *text = xs_kv_get(back, "hotplug-status");

	if (!text)
		return VIF_HOTPLUG_NONE;
	if (strcmp(text, "connected") == 0)
		return VIF_HOTPLUG_CONNECTED;
	return strcmp(text, "error") == 0 ? VIF_HOTPLUG_ERROR : VIF_HOTPLUG_WAIT;
}

bool vif_carrier_read(const struct xs_kvs *back)
{
	const char *text = xs_kv_get(back, "carrier");

	return !text || strcmp(text, "0") != 0;
}

/* ---- what the backend offers ---- */

int vif_offer_write(const struct vif_offer *of, struct xs_kvs *back)
{
	struct xs_kv_out o = {back, 0};

	xs_kv_out_u64(&o, "feature-sg", of->sg);
	xs_kv_out_u64(&o, "feature-gso-tcpv4", of->gso4);
	xs_kv_out_u64(&o, "feature-gso-tcpv6", of->gso6);
	xs_kv_out_u64(&o, "feature-ipv6-csum-offload", of->csum6);
	xs_kv_out_u64(&o, "feature-rx-copy", 1);
	xs_kv_out_u64(&o, "feature-rx-flip", 0);
	xs_kv_out_u64(&o, "feature-multicast-control", of->mcast);
	xs_kv_out_u64(&o, "feature-dynamic-multicast-control", of->dynamic_mcast);
	xs_kv_out_u64(&o, "feature-split-event-channels", of->split);
	xs_kv_out_u64(&o, "feature-ctrl-ring", of->ctrl_ring);
	xs_kv_out_u64(&o, "feature-xdp-headroom", of->xdp);
	xs_kv_out_u64(&o, "multi-queue-max-queues", of->max_queues);
	return o.rc;
}

int vif_offer_read(const struct xs_kvs *back, struct vif_offer *o, char *err, size_t size)
{
	struct xs_kv_in in = {back, "backend: ", -EPEER, err, size, 0};
	uint32_t max;

	memset(o, 0, sizeof(*o));
	o->sg = xs_kv_in_bool(&in, "feature-sg", false);
	o->gso4 = xs_kv_in_bool(&in, "feature-gso-tcpv4", false);
	o->gso6 = xs_kv_in_bool(&in, "feature-gso-tcpv6", false);
	o->csum6 = xs_kv_in_bool(&in, "feature-ipv6-csum-offload", false);
	o->mcast = xs_kv_in_bool(&in, "feature-multicast-control", false);
	o->dynamic_mcast = xs_kv_in_bool(&in, "feature-dynamic-multicast-control", false);
	o->split = xs_kv_in_bool(&in, "feature-split-event-channels", false);
	o->ctrl_ring = xs_kv_in_bool(&in, "feature-ctrl-ring", false);
	o->xdp = xs_kv_in_bool(&in, "feature-xdp-headroom", false);
	max = xs_kv_in_u32(&in, "multi-queue-max-queues", 1);
	o->max_queues = MAX(MIN(max, CONN_QUEUES_MAX), 1u);
	if (!xs_kv_in_bool(&in, "feature-rx-copy", false) && in.rc == 0)
		return err_say(err, size, -EPEER, "backend: it does not offer feature-rx-copy");
	return in.rc;
}

/* ---- what the frontend asks for ---- */

int vif_ask_write(const struct vif_ask *a, struct xs_kvs *front)
{
	struct xs_kv_out o = {front, 0};
	char key[48];

	if (a->nqueues < 1 || a->nqueues > CONN_QUEUES_MAX || a->xdp_headroom > VIF_XDP_MAX)
		return -EINVAL;
	/* Also what is the default: a former frontend's values may stand there. */
	xs_kv_out_u64(&o, "request-rx-copy", 1);
	xs_kv_out_u64(&o, "feature-rx-notify", a->rx_notify);
	xs_kv_out_u64(&o, "feature-no-csum-offload", a->no_csum);
	xs_kv_out_u64(&o, "feature-ipv6-csum-offload", a->csum6);
	xs_kv_out_u64(&o, "feature-sg", a->sg);
	xs_kv_out_u64(&o, "feature-gso-tcpv4", a->gso4);
	xs_kv_out_u64(&o, "feature-gso-tcpv6", a->gso6);
	xs_kv_out_u64(&o, "request-multicast-control", a->mcast);
	xs_kv_out_u64(&o, "xdp-headroom", a->xdp_headroom);
	xs_kv_out_u64(&o, "multi-queue-num-queues", a->nqueues);
	if (a->ctrl_evtchn) {
		xs_kv_out_u64(&o, "ctrl-ring-ref", a->ctrl_gref);
		xs_kv_out_u64(&o, "event-channel-ctrl", a->ctrl_evtchn);
	}
	for (unsigned q = 0; q < a->nqueues; q++) {
		xs_kv_queue_key(key, sizeof(key), "tx-ring-ref", a->nqueues, q);
		xs_kv_out_u64(&o, key, a->q[q].tx_gref);
		xs_kv_queue_key(key, sizeof(key), "rx-ring-ref", a->nqueues, q);
		xs_kv_out_u64(&o, key, a->q[q].rx_gref);
		xs_kv_queue_key(key, sizeof(key), a->split ? "event-channel-tx" : "event-channel", a->nqueues, q);
		xs_kv_out_u64(&o, key, a->q[q].evtchn);
		xs_kv_queue_key(key, sizeof(key), "event-channel-rx", a->nqueues, q);
		if (a->split)
			xs_kv_out_u64(&o, key, a->q[q].evtchn_rx);
	}
	return o.rc;
}

void vif_ask_blank(const struct xs_kvs *former, struct xs_kvs *front)
{
	static const char *const optional[] = {"event-channel-tx", "event-channel-rx", "ctrl-ring-ref", "event-channel-ctrl"};

	for (unsigned i = 0; i < former->n; i++)
		for (size_t k = 0; k < ARRAY_LEN(optional); k++)
			if (xs_kv_script(former->kv[i].key, optional[k]) && !xs_kv_get(front, former->kv[i].key))
				xs_kv_set(front, former->kv[i].key, "%s", "");
}

static void read_features(struct xs_kv_in *in, const struct vif_offer *o, struct vif_ask *a)
{
	a->rx_notify = xs_kv_in_bool(in, "feature-rx-notify", false);
	a->no_csum = xs_kv_in_bool(in, "feature-no-csum-offload", false);
	a->csum6 = xs_kv_in_bool(in, "feature-ipv6-csum-offload", false) && o->csum6;
	a->sg = xs_kv_in_bool(in, "feature-sg", false) && o->sg;
	a->gso4 = xs_kv_in_bool(in, "feature-gso-tcpv4", false) && o->gso4 && a->sg;
	a->gso6 = xs_kv_in_bool(in, "feature-gso-tcpv6", false) && o->gso6 && a->sg;
	a->mcast = xs_kv_in_bool(in, "request-multicast-control", false) && o->mcast;
	a->xdp_headroom = (uint32_t)xs_kv_in_u64(in, "xdp-headroom", 0, VIF_XDP_MAX);
	if (!o->xdp)
		a->xdp_headroom = 0;
}

static bool has_text(const struct xs_kvs *front, const char *key)
{
	const char *text = xs_kv_get(front, key);

	return text && text[0];
}

/* Both halves of the pair, as Linux's netback: with one of them alone the whole channel is looked for. */
static bool has_split(const struct xs_kvs *front, unsigned nqueues)
{
	char tx[48], rx[48];

	xs_kv_queue_key(tx, sizeof(tx), "event-channel-tx", nqueues, 0);
	xs_kv_queue_key(rx, sizeof(rx), "event-channel-rx", nqueues, 0);
	return has_text(front, tx) && has_text(front, rx);
}

static int read_queue(struct xs_kv_in *in, struct vif_ask *a, unsigned q)
{
	char key[48];

	xs_kv_queue_key(key, sizeof(key), "tx-ring-ref", a->nqueues, q);
	xs_kv_in_needed(in, key, &a->q[q].tx_gref);
	xs_kv_queue_key(key, sizeof(key), "rx-ring-ref", a->nqueues, q);
	xs_kv_in_needed(in, key, &a->q[q].rx_gref);
	xs_kv_queue_key(key, sizeof(key), a->split ? "event-channel-tx" : "event-channel", a->nqueues, q);
	xs_kv_in_port(in, key, &a->q[q].evtchn);
	xs_kv_queue_key(key, sizeof(key), "event-channel-rx", a->nqueues, q);
	if (a->split)
		xs_kv_in_port(in, key, &a->q[q].evtchn_rx);
	return in->rc;
}

static int refuse_twice(const struct xs_kv_in *in, const char *what, const uint32_t *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < i; k++)
			if (v[k] == v[i])
				return err_say(in->err, in->size, -EPEER, "frontend: %s %u is named twice", what, v[i]);
	return 0;
}

/* Two rings on one page, or with one port, would be fed to two threads. */
static int check_repeats(const struct xs_kv_in *in, const struct vif_ask *a)
{
	uint32_t refs[CONN_QUEUES_MAX * 2 + 1], ports[CONN_QUEUES_MAX * 2 + 1];
	unsigned nrefs = 0, nports = 0;

	for (unsigned q = 0; q < a->nqueues; q++) {
		refs[nrefs++] = a->q[q].tx_gref;
		refs[nrefs++] = a->q[q].rx_gref;
		ports[nports++] = a->q[q].evtchn;
		if (a->split)
			ports[nports++] = a->q[q].evtchn_rx;
	}
	if (a->ctrl_evtchn) {
		refs[nrefs++] = a->ctrl_gref;
		ports[nports++] = a->ctrl_evtchn;
	}
	if (refuse_twice(in, "ring reference", refs, nrefs))
		return -EPEER;
	return refuse_twice(in, "event channel", ports, nports);
}

int vif_ask_read(const struct xs_kvs *front, const struct vif_offer *o, struct vif_ask *a, char *err, size_t size)
{
	struct xs_kv_in in = {front, "frontend: ", -EPEER, err, size, 0};
	uint32_t max_queues = MIN(MAX(o->max_queues, 1u), CONN_QUEUES_MAX);

	memset(a, 0, sizeof(*a));
	if (!xs_kv_in_bool(&in, "request-rx-copy", false) && in.rc == 0)
		return err_say(err, size, -EPEER, "frontend: it does not ask for request-rx-copy, the only way to receive");
	a->nqueues = xs_kv_in_u32(&in, "multi-queue-num-queues", 1);
	read_features(&in, o, a);
	if (in.rc)
		return in.rc;
	if (a->nqueues < 1 || a->nqueues > max_queues)
		return err_say(err, size, -EPEER, "frontend: multi-queue-num-queues is %u, 1 to %u are offered", a->nqueues, max_queues);
	a->split = o->split && has_split(front, a->nqueues);
	for (unsigned q = 0; q < a->nqueues; q++)
		if (read_queue(&in, a, q))
			return in.rc;
	if (o->ctrl_ring && has_text(front, "ctrl-ring-ref")) {
		xs_kv_in_needed(&in, "ctrl-ring-ref", &a->ctrl_gref);
		xs_kv_in_port(&in, "event-channel-ctrl", &a->ctrl_evtchn);
	}
	return in.rc ? in.rc : check_repeats(&in, a);
}

bool vif_mcast_read(const char *text)
{
	uint64_t v;

	return text && xs_kv_number(text, UINT32_MAX, &v) && v;
}

/* ---- paths ---- */
