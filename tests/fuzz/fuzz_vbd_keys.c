/* Lines "key=value" as a guest or a backend might have written them: what is taken is in bounds and survives being written
 * and read again. */
#include "tests/fuzz/kvs.h"
#include "xenstore-glue/bus/vbd_keys.h"
#include "xenstore-glue/bus/xenbus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct xs_kvs kvs, again;
static char line[256];

static void look_at_offer(struct vbd_offer *o)
{
	struct vbd_offer back;

	*o = (struct vbd_offer){.sector_size = 512, .max_queues = 4, .max_ring_order = 2};
	if (vbd_offer_read(&kvs, &back, line, sizeof(line)) < 0) {
		CHECK(line[0]);
		return;
	}
	*o = back;
	CHECK(IS_POW2(o->sector_size) && o->sector_size >= 512 && o->physical_size % o->sector_size == 0);
	CHECK(o->max_queues >= 1 && o->max_queues <= CONN_QUEUES_MAX && 1u << o->max_ring_order <= CONN_RING_PAGES_MAX);
	CHECK(o->sectors <= UINT64_MAX / 512);
	again.n = 0;
	CHECK(vbd_offer_write(o, &again) == 0 && vbd_offer_read(&again, &back, line, sizeof(line)) == 0);
	CHECK(back.sectors == o->sectors && back.physical_size == o->physical_size && back.max_indirect == o->max_indirect);
}

static void look_at_ask(const struct vbd_offer *o)
{
	struct vbd_ask a, b;

	if (vbd_ask_read(&kvs, o, &a, line, sizeof(line)) < 0) {
		CHECK(line[0]);
		return;
	}
	CHECK(a.nqueues >= 1 && a.nqueues <= o->max_queues && IS_POW2(a.ring_pages));
	CHECK(a.ring_pages <= 1u << o->max_ring_order && a.protocol >= CONN_NATIVE && a.protocol <= CONN_X86_64);
	again.n = 0;
	CHECK(vbd_ask_write(&a, &again) == 0 && vbd_ask_read(&again, o, &b, line, sizeof(line)) == 0);
	CHECK(a.nqueues == b.nqueues && a.ring_pages == b.ring_pages && memcmp(a.q, b.q, sizeof(a.q)) == 0);
}

static void look_at_numbers(void)
{
	uint32_t devid, back;
	char name[16];

	for (unsigned i = 0; i < kvs.n; i++) {
		CHECK((unsigned)xenbus_state_parse(kvs.kv[i].val) < XENBUS_NSTATES);
		if (vbd_devid(kvs.kv[i].val, &devid) < 0)
			continue;
		vbd_vdev(devid, name, sizeof(name));
		CHECK(vbd_devid(name, &back) == 0 && back == devid);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vbd_wanted w;
	struct vbd_offer o;

	kvs_from_lines(&kvs, data, size);
	line[0] = '\0';
	look_at_offer(&o);
	line[0] = '\0';
	look_at_ask(&o);
	look_at_numbers();
	line[0] = '\0';
	CHECK(vbd_wanted_read(&kvs, &w, line, sizeof(line)) == 0 || line[0]);
	return 0;
}
