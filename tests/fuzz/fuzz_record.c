/* A stub's start record as another version, or a confused supervisor, might have left it: what passes is in bounds, and
 * names each descriptor once. */
#include "backend/core/be_record.h"
#include "tests/fuzz/input.h"

/* A vif with all that it may have. The next free descriptor. */
static int lay_vif(struct stub_dev *d, int fd)
{
	d->conn.type = CONN_VIF;
	d->conn.protocol = CONN_NATIVE;
	d->conn.ctrl_evtchn = 1;
	d->ctrl = (struct stub_port){.fd = {fd, -1}, .nfds = 1};
	d->steer_fd = ++fd;
	fd++;
	for (uint32_t k = 0; k < CONN_QUEUES_MAX; k++, fd += 2) {
		d->conn.q[k].evtchn_rx = 1;
		d->q[k].port_rx = (struct stub_port){.fd = {fd, -1}, .nfds = 1};
		d->q[k].net_fd = fd + 1;
	}
	return fd;
}

static void check_port(const struct stub_port *p, bool there) { CHECK(p->nfds >= there && p->nfds <= (there ? ARRAY_LEN(p->fd) : 0)); }

/* Most of it as it should be, so that the checks behind the first ones are reached. */
static void lay_sound(struct stub_start *s, size_t bytes)
{
	uint32_t n = (uint32_t)((bytes - sizeof(*s)) / sizeof(s->dev[0]));
	int fd = STUB_FD_CTL + 1;

	s->magic = STUB_MAGIC;
	s->version = STUB_VERSION;
	s->ndevs = n;
	s->provider_local = 1;
	strcpy(s->runtime_dir, "/run");
	for (uint32_t i = 0; i < n; i++) {
		struct stub_dev *d = &s->dev[i];

		d->kind = STUB_RESUME;
		strcpy(d->journal, "/j");
		strcpy(d->spec, "null:1M");
		d->image_fd = fd++;
		d->conn = (struct conn_id){.type = CONN_VBD, .protocol = CONN_X86_64, .nqueues = 1 + i % 2, .ring_pages = 1};
		for (uint32_t k = 0; k < CONN_QUEUES_MAX; k++, fd += 2)
			d->q[k] = (struct stub_queue){.port = {.fd = {fd, -1}, .nfds = 1}, .poke_fd = fd + 1, .net_fd = -1};
		if (i % 2)
			fd = lay_vif(d, fd);
	}
}

/* Bytes of the input, each with its place. */
static void change(char *p, size_t bytes, struct input *in)
{
	while (in->left >= 3) {
		size_t at = take(in, 2) * 8 % bytes; /* members are aligned */

		at = MIN(at + (in->at[0] >> 5), bytes - 1);
		p[at] = (char)take(in, 1);
	}
}

static void check_record(const struct stub_start *s, enum be_purpose purpose)
{
	static struct be_fds fds;
	char err[160] = "";

	CHECK(s->ndevs >= 1 && s->ndevs <= STUB_DEVS_MAX);
	for (uint32_t i = 0; i < s->ndevs; i++) {
		const struct stub_dev *d = &s->dev[i];

		CHECK(memchr(d->spec, '\0', sizeof(d->spec)));
		if (purpose == BE_PROBE)
			continue;
		CHECK(memchr(d->journal, '\0', sizeof(d->journal)) && d->journal[0] == '/');
		CHECK(d->conn.nqueues >= 1 && d->conn.nqueues <= CONN_QUEUES_MAX);
		CHECK(IS_POW2(d->conn.ring_pages) && d->conn.ring_pages <= CONN_RING_PAGES_MAX);
		for (uint32_t k = 0; k < d->conn.nqueues; k++) {
			check_port(&d->q[k].port, true);
			check_port(&d->q[k].port_rx, d->conn.q[k].evtchn_rx != 0);
		}
		check_port(&d->ctrl, d->conn.ctrl_evtchn != 0);
	}
	if (be_record_fds(s, purpose, &fds, err, sizeof(err))) {
		CHECK(err[0]);
		return;
	}
	CHECK(fds.n >= 1 && fds.n <= BE_FDS_MAX && fds.fd[0] == STUB_FD_CTL);
	for (size_t i = 1; i < fds.n; i++)
		CHECK(fds.fd[i] > fds.fd[i - 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	unsigned how = (unsigned)take(&in, 1);
	enum be_purpose purpose = how & 1 ? BE_PROBE : BE_SERVE;
	size_t bytes = how & 2 ? in.left : stub_start_bytes(1 + (how >> 3) % 4);
	char *p = exact(bytes), err[160] = "";

	memset(p, 0, bytes);
	if (how & 2) {
		take_bytes(&in, p, bytes);
	} else {
		lay_sound((void *)p, bytes);
		change(p, bytes, &in);
	}
	if (be_record_check((void *)p, bytes, purpose, err, sizeof(err)) == 0)
		check_record((void *)p, purpose);
	else
		CHECK(err[0]);
	free(p);
	return 0;
}
