/* Lines "key=value" as a toolstack, a guest or a backend might have written them for a vif: what is taken is in bounds and
 * survives being written and read again. */
#include "tests/fuzz/kvs.h"
#include "xenstore-glue/bus/vif_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct xs_kvs kvs, again;
static char line[256];

static void look_at_wanted(void)
{
	struct vif_wanted w, b;
	struct vif_told t, u;

	if (vif_wanted_read(&kvs, &w, line, sizeof(line)) == 0) {
		CHECK(w.mode < VIF_NMODES && w.mtu <= VIF_MTU_MAX && (w.rate_us == 0) == (w.rate_bytes == 0) && !(w.mac[0] & 1));
		again.n = 0;
		CHECK(vif_wanted_write(&w, &again) == 0 && vif_wanted_read(&again, &b, line, sizeof(line)) == 0);
		if (!w.type[0])
			strcpy(w.type, "vif");
		CHECK(memcmp(&w, &b, sizeof(w)) == 0);
	} else {
		CHECK(line[0]);
	}
	if (vif_told_read(&kvs, &t, line, sizeof(line)) < 0)
		return;
	again.n = 0;
	CHECK(vif_told_write(&t, &again) == 0 && vif_told_read(&again, &u, line, sizeof(line)) == 0);
	CHECK(u.handle == t.handle && u.trusted == t.trusted && u.mtu == (t.mtu ? t.mtu : VIF_MTU));
}

static void look_at_offer(struct vif_offer *o)
{
	struct vif_offer back;

	*o = (struct vif_offer){.sg = true, .gso4 = true, .split = true, .ctrl_ring = true, .xdp = true, .max_queues = 4};
	if (vif_offer_read(&kvs, &back, line, sizeof(line)) < 0) {
		CHECK(line[0]);
		return;
	}
	*o = back;
	CHECK(o->max_queues >= 1 && o->max_queues <= CONN_QUEUES_MAX);
	again.n = 0;
	CHECK(vif_offer_write(o, &again) == 0 && vif_offer_read(&again, &back, line, sizeof(line)) == 0);
	CHECK(memcmp(o, &back, sizeof(back)) == 0);
}

static void look_at_ask(const struct vif_offer *o)
{
	struct vif_ask a, b;

	if (vif_ask_read(&kvs, o, &a, line, sizeof(line)) < 0) {
		CHECK(line[0]);
		return;
	}
	CHECK(a.nqueues >= 1 && a.nqueues <= o->max_queues && a.xdp_headroom <= VIF_XDP_MAX && (a.sg || !a.gso4));
	CHECK((o->split || !a.split) && (o->ctrl_ring || !a.ctrl_evtchn));
	again.n = 0;
	CHECK(vif_ask_write(&a, &again) == 0 && vif_ask_read(&again, o, &b, line, sizeof(line)) == 0);
	CHECK(memcmp(&a, &b, sizeof(a)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vif_offer o;

	kvs_from_lines(&kvs, data, size);
	line[0] = '\0';
	look_at_wanted();
	line[0] = '\0';
	look_at_offer(&o);
	line[0] = '\0';
	look_at_ask(&o);
	vif_hotplug_read(&kvs);
	vif_carrier_read(&kvs);
	vif_mcast_read(xs_kv_get(&kvs, VIF_MCAST));
	return 0;
}
