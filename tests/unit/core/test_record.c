/* The start record: what does not fit is refused with a line that says what. */
#include "backend/core/be_record.h"

#include "ring/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

static char err[168];

static struct stub_start *good(uint32_t ndevs)
{
	struct stub_start *s = calloc(1, stub_start_bytes(ndevs));
	int fd = 10;

	assert_non_null(s);
	*s = (struct stub_start){.magic = STUB_MAGIC, .version = STUB_VERSION, .ndevs = ndevs, .provider_local = 1,
				 .runtime_dir = "/run/b"};
	for (uint32_t i = 0; i < ndevs; i++) {
		struct stub_dev *d = &s->dev[i];

		*d = (struct stub_dev){.kind = STUB_RESUME, .journal = "/dev/shm/j", .spec = "null:1M", .image_fd = fd++};
		d->conn = (struct conn_id){.domid = 1, .type = CONN_VBD, .protocol = CONN_NATIVE, .nqueues = 2, .ring_pages = 4};
		for (uint32_t k = 0; k < 2; k++) {
			d->q[k] = (struct stub_queue){.port = {.fd = {fd, fd + 1}, .nfds = 2}, .poke_fd = fd + 2, .net_fd = -1};
			fd += 3;
		}
	}
	return s;
}

static int sealed(const void *data, size_t bytes, unsigned seals)
{
	int fd = memfd_create("record", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, data, bytes), bytes);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void a_good_one_is_read(void **state)
{
	struct stub_start *s = good(3), *got;
	int fd = sealed(s, stub_start_bytes(3), SEALS);

	(void)state;
	assert_int_equal(be_record_read(fd, BE_SERVE, &got, err, sizeof(err)), 0);
	assert_memory_equal(got, s, stub_start_bytes(3));
	close(fd);
	free(got);
	free(s);
}

static void refuses(int fd, int rc, const char *word)
{
	struct stub_start *got = (struct stub_start *)1;

	err[0] = '\0';
	assert_int_equal(be_record_read(fd, BE_SERVE, &got, err, sizeof(err)), rc);
	assert_null(got);
	if (!strstr(err, word))
		fail_msg("\"%s\" does not say \"%s\"", err, word);
	close(fd);
}

static void what_is_no_record_is_refused(void **state)
{
	struct stub_start *s = good(2);
	size_t bytes = stub_start_bytes(2);
	char *longer = calloc(1, bytes + 8);
	int pipes[2];

	(void)state;
	assert_non_null(longer);
	memcpy(longer, s, bytes);
	assert_int_equal(pipe(pipes), 0);
	refuses(pipes[0], -EINVAL, "no start record");
	close(pipes[1]);
	refuses(-1, -EBADF, "no start record");
	refuses(sealed(s, bytes, F_SEAL_SHRINK | F_SEAL_GROW), -EINVAL, "sealed");
	refuses(sealed(s, 0, SEALS), -EINVAL, "bytes");
	refuses(sealed(s, sizeof(*s) - 1, SEALS), -EINVAL, "bytes");
	refuses(sealed(s, sizeof(*s), SEALS), -EINVAL, "need");
	refuses(sealed(s, bytes - 1, SEALS), -EINVAL, "need");
	refuses(sealed(longer, bytes + 8, SEALS), -EINVAL, "need");
	s->version++;
	refuses(sealed(s, bytes, SEALS), -EINVAL, "version");
	s->magic++;
	refuses(sealed(s, bytes, SEALS), -EINVAL, "none");
	free(longer);
	free(s);
}

static int check(const struct stub_start *s) { return be_record_check(s, stub_start_bytes(2), BE_SERVE, err, sizeof(err)); }

/* Sets field to v, wants it refused with word, and sets it back. */
#define REFUSED(s, field, v, word)                                                          \
	do {                                                                                \
		__typeof__((s)->field) was_ = (s)->field;                                   \
		(s)->field = (v);                                                           \
		assert_int_equal(check(s), -EINVAL);                                        \
		if (!strstr(err, word))                                                     \
			fail_msg("line %d: \"%s\" does not say \"%s\"", __LINE__, err, word); \
		(s)->field = was_;                                                          \
		assert_int_equal(check(s), 0);                                              \
	} while (0)

static void every_field_is_judged(void **state)
{
	struct stub_start *s = good(2);

	(void)state;
	assert_int_equal(check(s), 0);
	REFUSED(s, ndevs, 0, "devices");
	REFUSED(s, ndevs, STUB_DEVS_MAX + 1, "devices");
	REFUSED(s, ndevs, UINT32_MAX, "devices");
	REFUSED(s, standby, 2, "flag");
	REFUSED(s, provider_local, 2, "flag");
	REFUSED(s, self_domid, 0x7ff0, "domid");
	REFUSED(s, runtime_dir[0], 0, "runtime");
	REFUSED(s, uid, 5, "user");
	REFUSED(s, gid, 5, "user");
	REFUSED(s, dev[1].kind, 0, "kind");
	REFUSED(s, dev[1].kind, 3, "kind");
	REFUSED(s, dev[1].journal[0], 'x', "journal");
	REFUSED(s, dev[1].spec[0], 0, "storage");
	REFUSED(s, dev[1].image_fd, -2, "image");
	REFUSED(s, dev[1].image_fd, STUB_FD_CTL, "image");
	REFUSED(s, dev[1].conn.type, 0, "type");
	REFUSED(s, dev[1].conn.type, 3, "type");
	REFUSED(s, dev[1].conn.protocol, 0, "protocol");
	REFUSED(s, dev[1].conn.protocol, 4, "protocol");
	REFUSED(s, dev[1].conn.nqueues, 0, "queues");
	REFUSED(s, dev[1].conn.nqueues, CONN_QUEUES_MAX + 1, "queues");
	REFUSED(s, dev[1].conn.ring_pages, 3, "ring pages");
	REFUSED(s, dev[1].conn.ring_pages, 32, "ring pages");
	REFUSED(s, dev[1].conn.domid, 0x10001, "domid");
	REFUSED(s, dev[1].q[1].port.nfds, 0, "port");
	REFUSED(s, dev[1].q[1].port.nfds, 3, "port");
	REFUSED(s, dev[1].q[1].port_rx.nfds, 1, "port");
	REFUSED(s, dev[1].q[1].net_fd, 40, "netport");
	REFUSED(s, dev[1].ctrl.nfds, 1, "port");
	REFUSED(s, dev[1].conn.q[0].evtchn_rx, 5, "second");
	REFUSED(s, dev[1].conn.ctrl_evtchn, 5, "control ring");
	s->standby = 1;
	REFUSED(s, dev[0].kind, STUB_FRESH, "standby");
	memset(s->dev[0].journal, '/', sizeof(s->dev[0].journal));
	assert_int_equal(check(s), -EINVAL);
	free(s);
}

static void descriptors_are_named_once(void **state)
{
	struct stub_start *s = good(2);
	struct be_fds f;

	(void)state;
	assert_int_equal(be_record_fds(s, BE_SERVE, &f, err, sizeof(err)), 0);
	assert_int_equal(f.n, 1 + 2 * 7);
	assert_int_equal(f.fd[0], STUB_FD_CTL);
	for (size_t i = 1; i < f.n; i++)
		assert_int_equal(f.fd[i], 9 + (int)i);
	s->dev[0].q[1].poke_fd = -1;
	s->dev[0].image_fd = -1;
	assert_int_equal(be_record_fds(s, BE_SERVE, &f, err, sizeof(err)), 0);
	assert_int_equal(f.n, 1 + 2 * 7 - 2);
	s->dev[1].image_fd = s->dev[0].q[0].port.fd[1];
	assert_int_equal(be_record_fds(s, BE_SERVE, &f, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "twice"));
	s->dev[1].image_fd = -1;
	s->dev[0].q[0].port.fd[1] = STUB_FD_RECORD;
	assert_int_equal(be_record_fds(s, BE_SERVE, &f, err, sizeof(err)), -EINVAL);
	s->dev[0].q[0].port.fd[1] = -1;
	assert_int_equal(be_record_fds(s, BE_SERVE, &f, err, sizeof(err)), -EINVAL);
	free(s);
}

/* A vif of two queues, each with two ports and a tap's queue, and a control ring; beside it a disk. */
static struct stub_start *good_vif(void)
{
	struct stub_start *s = good(2);
	struct stub_dev *d = &s->dev[0];

	d->conn.type = CONN_VIF;
	d->conn.ring_pages = 1;
	d->conn.ctrl_evtchn = 9;
	strcpy(d->spec, "tap");
	d->image_fd = -1;
	d->ctrl = (struct stub_port){.fd = {24, 25}, .nfds = 2};
	for (int k = 0; k < 2; k++) {
		d->conn.q[k].evtchn_rx = 7;
		d->q[k].port_rx = (struct stub_port){.fd = {26 + 3 * k, 27 + 3 * k}, .nfds = 2};
		d->q[k].net_fd = 28 + 3 * k;
	}
	d->steer_fd = 32;
	return s;
}

static void a_vif_has_more_ports(void **state)
{
	struct stub_start *s = good_vif();
	struct be_fds f;

	(void)state;
	assert_int_equal(check(s), 0);
	assert_int_equal(be_record_fds(s, BE_SERVE, &f, err, sizeof(err)), 0);
	assert_int_equal(f.n, 1 + 2 * 3 + 7 + 2 + 2 * 3 + 1);
	for (size_t i = 1; i < f.n; i++)
		assert_int_equal(f.fd[i], 10 + (int)i);
	REFUSED(s, dev[0].conn.ring_pages, 2, "vif");
	REFUSED(s, dev[0].conn.protocol, CONN_X86_64, "vif");
	REFUSED(s, dev[0].conn.ctrl_evtchn, 0, "port");
	REFUSED(s, dev[0].conn.q[1].evtchn_rx, 0, "port");
	REFUSED(s, dev[0].ctrl.nfds, 0, "port");
	REFUSED(s, dev[0].ctrl.nfds, 3, "port");
	REFUSED(s, dev[0].q[0].port_rx.nfds, 0, "port");
	REFUSED(s, dev[0].q[0].net_fd, 2, "netport");
	REFUSED(s, dev[0].steer_fd, 2, "steering");
	s->dev[0].q[0].net_fd = s->dev[0].ctrl.fd[1];
	assert_int_equal(be_record_fds(s, BE_SERVE, &f, err, sizeof(err)), -EINVAL);
	free(s);
}

static void a_probe_needs_the_storage_only(void **state)
{
	struct stub_start *s = good(2);
	struct be_fds f;

	(void)state;
	s->ndevs = 1;
	memset(&s->dev[0].conn, 0, sizeof(s->dev[0].conn));
	memset(&s->dev[0].q, 0, sizeof(s->dev[0].q));
	s->dev[0].journal[0] = '\0';
	s->dev[0].kind = 0;
	assert_int_equal(be_record_check(s, stub_start_bytes(1), BE_PROBE, err, sizeof(err)), 0);
	assert_int_equal(be_record_check(s, stub_start_bytes(1), BE_SERVE, err, sizeof(err)), -EINVAL);
	assert_int_equal(be_record_fds(s, BE_PROBE, &f, err, sizeof(err)), 0);
	assert_int_equal(f.n, 2);
	s->dev[0].spec[0] = '\0';
	assert_int_equal(be_record_check(s, stub_start_bytes(1), BE_PROBE, err, sizeof(err)), -EINVAL);
	free(s);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(a_good_one_is_read),
		cmocka_unit_test(what_is_no_record_is_refused),
		cmocka_unit_test(every_field_is_judged),
		cmocka_unit_test(descriptors_are_named_once),
		cmocka_unit_test(a_vif_has_more_ports),
		cmocka_unit_test(a_probe_needs_the_storage_only),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
