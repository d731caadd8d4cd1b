/* bulkhead-net as the supervisor starts it: a ring that the guest did not grant, or grants no more when a successor comes, and a damaged
 * journal end that device, said in a line, and no other one. */
#include "tests/unit/core/stub_world.h"

#include "recovery/journal/njrnl_fmt.h"

#include <xen/event_channel.h>
#include <xen/io/netif.h>

#define RX_PAGE 0u /* of the guest's data pages */
#define CTRL_PAGE 1u
#define BUFFER 2u

static const struct stub_how fresh = {.program = "bulkhead-net"}, resumed = {.program = "bulkhead-net", .kind = STUB_RESUME};

static void vif_open(struct device *d)
{
	struct conn_id *c = &d->sd.conn;
	struct netif_rx_sring *rx;
	struct hv_port *ctrl;

	device_open(&world, d, "null:70", 1);
	c->type = CONN_VIF;
	c->features = CONN_NET_SG;
	c->q[0].gref[CONN_NET_RX] = d->q[0].gref[RX_PAGE];
	c->ctrl_gref = d->q[0].gref[CTRL_PAGE];
	assert_int_equal(hv_port_alloc(world.guest, 0, &ctrl), 0);
	c->ctrl_evtchn = hv_port_number(ctrl);
	assert_int_equal(hv_port_bind(world.supervisor, world.domid, c->ctrl_evtchn, &d->ctrl), 0);
	rx = (void *)guest_page(&d->q[0], RX_PAGE);
	rx->req_event = rx->rsp_event = 1;
	assert_int_equal(truncate(d->sd.journal, 0), 0);
	assert_int_equal(truncate(d->sd.journal, (off_t)njrnl_file_bytes(1)), 0);
}

/* A packet comes through. */
static void expect_alive(struct device *d)
{
	struct netif_rx_sring *rx = (void *)guest_page(&d->q[0], RX_PAGE);
	uint32_t at = rx->req_prod;

	rx->ring[at % 256].req = (struct netif_rx_request){.id = 3, .gref = d->q[0].gref[BUFFER]};
	smp_store_release(&rx->req_prod, at + 1); /* pairs with the backend's load of it */
	hv_port_notify(d->q[0].port);
	UNTIL(smp_load_acquire(&rx->rsp_prod) == at + 1); /* pairs with its store */
	assert_int_equal(rx->ring[at % 256].rsp.status, 70);
}

static void broken(struct stub_proc *p, const struct device *d, uint64_t what, const char *word)
{
	struct stub_msg m = stub_says(p, STUB_BROKEN);

	assert_int_equal(m.serial, d->sd.serial);
	assert_int_equal(m.arg[0], what);
	if (!strstr(m.text, word))
		fail_msg("\"%s\" does not say \"%s\"", m.text, word);
}

static void took_over(struct stub_proc *p, const struct device *d)
{
	assert_int_equal(stub_says(p, STUB_CARRIER).serial, d->sd.serial);
	assert_int_equal(stub_says(p, STUB_RESUMED).serial, d->sd.serial);
}

static void a_ring_that_was_not_granted(unsigned which)
{
	struct device a, b, *both[] = {&a, &b};
	struct stub_proc p;

	vif_open(&a);
	vif_open(&b);
	*(which == 2 ? &a.sd.conn.ctrl_gref : &a.sd.conn.q[0].gref[which]) = 4000000;
	stub_start(&p, both, 2, &fresh);
	broken(&p, &a, STUB_BROKEN_RING, "grant reference 4000000");
	assert_int_equal(stub_says(&p, STUB_CONNECTED).serial, b.sd.serial);
	expect_alive(&b);
	stub_kill(&p);
	device_close(&a);
	device_close(&b);
}

static void a_ring_that_was_not_granted_breaks_its_vif_only(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 3; which++)
		a_ring_that_was_not_granted(which);
}

/* Two vifs of one stub. */
static void both_up(struct device *both[2], struct stub_proc *p)
{
	vif_open(both[0]);
	vif_open(both[1]);
	stub_start(p, both, 2, &fresh);
	stub_says(p, STUB_CONNECTED);
	stub_says(p, STUB_CONNECTED);
}

/* Between two lives nothing is mapped, and the guest may end its grants. */
static void a_ring_that_went_breaks_its_vif_only(void **state)
{
	struct device a, b, *both[] = {&a, &b};
	struct stub_proc p;
	int16_t status;

	(void)state;
	both_up(both, &p);
	expect_alive(&a);
	stub_kill(&p);
	UNTIL((hv_ungrant(world.guest, &a.q[0].gref[RX_PAGE], 1, &status), status == 0));
	stub_start(&p, both, 2, &resumed);
	broken(&p, &a, STUB_BROKEN_RING, "cannot be mapped");
	took_over(&p, &b);
	expect_alive(&b);
	stub_kill(&p);
	device_close(&a);
	device_close(&b);
}

static void flip(const struct device *d, off_t at)
{
	int fd = open(d->sd.journal, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void a_damaged_journal_breaks_its_vif_only(void **state)
{
	const off_t where[] = {offsetof(struct jrnl_hdr, conn) + 4, JRNL_PAGE + offsetof(struct njrnl_dev, now),
			       (off_t)njrnl_queue_offset(0) + (off_t)offsetof(struct njrnl_queue, rx_prod)};
	struct device a, b, *both[] = {&a, &b};
	struct stub_proc p;

	(void)state;
	both_up(both, &p);
	for (unsigned i = 0; i < ARRAY_LEN(where); i++) {
		stub_kill(&p);
		flip(&a, where[i]);
		stub_start(&p, both, 2, &resumed);
		broken(&p, &a, STUB_BROKEN_JOURNAL, "");
		took_over(&p, &b);
		expect_alive(&b);
		flip(&a, where[i]);
	}
	stub_kill(&p);
	stub_start(&p, both, 2, &resumed); /* as it was, it is taken */
	took_over(&p, &a);
	took_over(&p, &b);
	expect_alive(&a);
	stub_kill(&p);
	device_close(&a);
	device_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_ring_that_was_not_granted_breaks_its_vif_only),
		T(a_ring_that_went_breaks_its_vif_only),
		T(a_damaged_journal_breaks_its_vif_only),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
