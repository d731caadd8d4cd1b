/* vif_keys.h - every xenstore key of a vif, in both directions, as values (DESIGN.md section 13; <xen/io/netif.h>,
 * xl-network-configuration(5)).
 *
 * Pure, as vbd_keys.h, with the same users. Values read are foreign: every number is bounded. A function that reads returns
 * 0, or an error with its one line in err: -EINVAL for what the toolstack wrote, -EPEER for what the other domain wrote.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_VIF_KEYS_H
#define BULKHEAD_XENSTORE_GLUE_BUS_VIF_KEYS_H

#include "ring/base/conn.h"
#include "xenstore-glue/bus/xs_kv.h"

/* The name of our script, by which a vif's line in xl.cfg marks it as ours; VIF_SCRIPT "-nat" does it with Xen's vif-nat, and so on. */
#define VIF_SCRIPT "vif-bulkhead"
#define VIF_MTU 1500u		  /* where nobody says otherwise */
#define VIF_MTU_MAX 65521u	  /* a frame of it, with its header of 14 bytes, has 65535 */

/* The node of ours, in the backend's directory, which says what the VM is to use where the mode settles that: "ip=A gateway=B ip6=C gateway6=D". */
#define VIF_GUEST "guest-net"

/* How the vif's network device meets the host's network; VIF_BY_SCRIPT: a script of the toolstack does that, or nobody. */
enum vif_mode { VIF_BY_SCRIPT, VIF_BRIDGE, VIF_NAT, VIF_ROUTE, VIF_OPENVSWITCH, VIF_NMODES };
const char *vif_mode_name(enum vif_mode mode); /* "bridge"; "" for VIF_BY_SCRIPT */
int vif_mode_parse(const char *name, enum vif_mode *mode);

/* What Xen's script of that name does, whose path is script's: ".../vif-nat", ".../vif-bulkhead-nat"; VIF_BY_SCRIPT for another's. */
enum vif_mode vif_mode_of_script(const char *script);
/* ".../vif-bulkhead-antispoof", ".../vif-bulkhead-antispoof-nat": as without "-antispoof", and `mac` and `ip` are enforced. */
bool vif_antispoof_of_script(const char *script);

/* "00:16:3e:01:02:03". 0 or -EINVAL: not of this form, all zero, or a multicast address. */
int vif_mac_parse(const char *text, uint8_t mac[6]);
#define VIF_MAC_TEXT 18
void vif_mac_format(const uint8_t mac[6], char text[VIF_MAC_TEXT]);

/* The node `rate`: "BYTES,MICROSECONDS". 0 microseconds: no limit, and *bytes is 0 too. 0 or -EINVAL (also 0 bytes). */
int vif_rate_parse(const char *text, uint64_t *bytes, uint64_t *us);

/* The node `script` names ours. NULL is allowed. */
bool vif_marked(const char *script);

/* What the toolstack writes into the backend's directory. Of empty texts and zero numbers no node is written. */
struct vif_wanted {
	char frontend[128]; /* its path */
	uint32_t frontend_id;
	bool online;
	uint32_t handle;
	uint8_t mac[6]; /* zero: not given */
	uint32_t mtu;	/* 0: not given */
	uint64_t rate_bytes, rate_us; /* 0, 0: no limit */
	char script[128];
	char type[16];	/* "vif", "vif_ioemu" */
	char vifname[16], bridge[64], gatewaydev[16];
	char ip[256];	/* addresses, blank between them */
	char vlan[128];
	/* Ours; not written by xl. */
	enum vif_mode mode;
	bool antispoof;	       /* `mac` and `ip` are enforced; also by the script's name */
	char params[SPEC_MAX]; /* the netport and its options; "" is "tap" */
};
int vif_wanted_read(const struct xs_kvs *back, struct vif_wanted *w, char *err, size_t size);
int vif_wanted_write(const struct vif_wanted *w, struct xs_kvs *back); /* with state=1 */

/* What the toolstack writes into the frontend's directory, besides what every device has there. */
struct vif_told {
	uint32_t handle;
	uint8_t mac[6];
	uint32_t mtu;
	bool trusted;
};
int vif_told_read(const struct xs_kvs *front, struct vif_told *t, char *err, size_t size);
int vif_told_write(const struct vif_told *t, struct xs_kvs *front);

/* `hotplug-status` in the backend's directory: state 4 waits for the toolstack's script where the node is there. */
enum vif_hotplug { VIF_HOTPLUG_NONE, VIF_HOTPLUG_WAIT, VIF_HOTPLUG_CONNECTED, VIF_HOTPLUG_ERROR };
enum vif_hotplug vif_hotplug_read(const struct xs_kvs *back);
/* `carrier` in the backend's directory: true where it is missing. */
bool vif_carrier_read(const struct xs_kvs *back);

/* What the backend offers (state 2). */
struct vif_offer {
	bool sg, gso4, gso6, csum6, mcast, dynamic_mcast, split, ctrl_ring, xdp;
	uint32_t max_queues;
};
int vif_offer_write(const struct vif_offer *o, struct xs_kvs *back); /* with feature-rx-copy and feature-rx-flip */
/* -EPEER also without feature-rx-copy. */
int vif_offer_read(const struct xs_kvs *back, struct vif_offer *o, char *err, size_t size);

/* What the frontend asks for (before its state 4; it leaves 3 out). */
struct vif_queue {
	uint32_t tx_gref, rx_gref;
	uint32_t evtchn;    /* of both rings, or of TX with split event channels */
	uint32_t evtchn_rx; /* 0 without split event channels */
};
#define VIF_XDP_MAX 0x7fffu /* bytes; what Linux's netback takes at most */
struct vif_ask {
	uint32_t nqueues;
	bool split;
	bool rx_notify, no_csum, csum6, sg, gso4, gso6, mcast;
	uint32_t xdp_headroom;		  /* bytes */
	uint32_t ctrl_gref, ctrl_evtchn; /* ctrl_evtchn 0: no control ring */
	struct vif_queue q[CONN_QUEUES_MAX];
};
int vif_ask_write(const struct vif_ask *a, struct xs_kvs *front); /* with request-rx-copy */
/* Makes empty what a former frontend left in its directory and would be taken for this one's: ports and a control ring that it
 * does not ask for. An empty one reads as missing, with Linux's netback too. */
void vif_ask_blank(const struct xs_kvs *former, struct xs_kvs *front);
/* Against what was offered: too many queues, missing or repeated references and ports, no request-rx-copy, bad numbers are
 * -EPEER. A feature that was not offered reads as not asked for; gso4 and gso6 also without sg. */
int vif_ask_read(const struct xs_kvs *front, const struct vif_offer *o, struct vif_ask *a, char *err, size_t size);
/* The node VIF_MCAST alone, NULL: it is not there. With dynamic_mcast a frontend may change it at any time. */
#define VIF_MCAST "request-multicast-control"
bool vif_mcast_read(const char *text);

#endif
