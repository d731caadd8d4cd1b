/* stub_world.h - for tests of bulkhead-blk: a hub, one guest with its rings, and the part of the supervisor that starts
 * stubs and talks with them. Everything real but the guest's kernel. Aborts the test (cmocka) on any surprise. */
#ifndef BULKHEAD_TESTS_UNIT_CORE_STUB_WORLD_H
#define BULKHEAD_TESTS_UNIT_CORE_STUB_WORLD_H

#include "backend/engine/engine.h"
#include "recovery/journal/jrnl_fmt.h"
#include "ring/base/barrier.h"
#include "ring/base/err.h"
#include "ring/hv/hub_wire.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"
#include "ring/os/stub_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <xen/io/blkif.h>

#define DEADLINE_NS (10 * NS_PER_S)
#define SLOTS 32u /* of a ring of one page */
#define DISK_BYTES (1u << 20)
#define QUEUES_MAX 2u

/* ---- small things */

static inline void pause_briefly(void) { nanosleep(&(struct timespec){0, 100000}, NULL); }

#define UNTIL(cond)                                                     \
	do {                                                            \
		uint64_t until_ = clock_now() + DEADLINE_NS;            \
		while (!(cond)) {                                       \
			if (clock_now() > until_)                       \
				fail_msg("never came true: %s", #cond); \
			pause_briefly();                                \
		}                                                       \
	} while (0)

static inline const char *program(const char *name)
{
	static char path[4200];
	const char *build = getenv("BULKHEAD_BUILD");
	char self[4096], *at;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (!build && n > 0) {
		self[n] = '\0';
		at = strstr(self, "/tests/unit/");
		assert_non_null(at);
		*at = '\0';
		build = self;
	}
	snprintf(path, sizeof(path), "%s/bin/%s", build ? build : "", name);
	return path;
}

/* ---- the world */

#define PIDS_MAX 8u

struct world {
	char dir[64];
	pid_t stub[PIDS_MAX]; /* alive: a test that fails leaves them behind, and a change of uid ends PDEATHSIG */
	pid_t hub;
	struct hv *supervisor;
	struct hv *guest;
	hv_domid_t domid;
};

static inline void world_create_domain(struct world *w)
{
	struct hub_msg m = {.op = HUB_HELLO, .role = HUB_ADMIN, .version = HUB_VERSION};
	char path[128], reply[HUB_MSG_MAX];
	int s;

	snprintf(path, sizeof(path), "%s/%s", w->dir, HUB_SOCK);
	UNTIL((s = fdmsg_connect(path)) >= 0);
	assert_int_equal(fdmsg_send(s, &m, sizeof(m), NULL, 0), 0);
	assert_true(fdmsg_recv(s, reply, sizeof(reply), NULL, NULL) > 0);
	m = (struct hub_msg){.op = HUB_DOM_CREATE, .name = "guest"};
	assert_int_equal(fdmsg_send(s, &m, sizeof(m), NULL, 0), 0);
	assert_true(fdmsg_recv(s, reply, sizeof(reply), NULL, NULL) > 0);
	assert_int_equal(((struct hub_msg *)(void *)reply)->rc, 0);
	close(s);
}

static inline void world_open(struct world *w)
{
	struct hv_open o = {.role = HV_SUPERVISOR};

	*w = (struct world){.dir = "/dev/shm/bulkhead-test-XXXXXX"};
	assert_non_null(mkdtemp(w->dir));
	w->hub = fork();
	if (w->hub == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program("bulkhead-hub"), "bulkhead-hub", "--runtime-dir", w->dir, (char *)NULL);
		_exit(127);
	}
	world_create_domain(w);
	o.runtime_dir = w->dir;
	assert_int_equal(hv_open("local", &o, &w->supervisor), 0);
	o.role = HV_FRONTEND;
	o.domain = "guest";
	assert_int_equal(hv_open("local", &o, &w->guest), 0);
	w->domid = hv_domid(w->guest);
}

/* Kills what failed tests left behind. */
static inline void world_reap_stubs(struct world *w)
{
	for (unsigned i = 0; i < PIDS_MAX; i++)
		if (w->stub[i] > 0) {
			kill(w->stub[i], SIGKILL);
			waitpid(w->stub[i], NULL, 0);
			w->stub[i] = 0;
		}
}

/* A pid of was becomes is; 0: a free place. */
static inline void world_note_stub(struct world *w, pid_t was, pid_t is)
{
	unsigned i = 0;

	while (i < PIDS_MAX && w->stub[i] != was)
		i++;
	assert_true(i < PIDS_MAX);
	w->stub[i] = is;
}

static inline void world_close(struct world *w)
{
	char command[128];

	hv_close(w->guest);
	hv_close(w->supervisor);
	kill(w->hub, SIGKILL);
	waitpid(w->hub, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
	assert_int_equal(system(command), 0);
}

/* ---- the guest's end of one queue, as a kernel would: an id for each request, answered once and only once */

struct guest_queue {
	struct world *w;
	blkif_sring_t *ring;
	char *data; /* a page for each slot */
	hv_gref_t ring_gref, gref[SLOTS];
	struct hv_port *port;
	uint32_t req_prod, rsp_cons;
	uint64_t answered, wrong;
	bool waits[SLOTS]; /* by id */
};

static inline void guest_queue_open(struct world *w, struct guest_queue *q)
{
	struct hv_grant g[SLOTS + 1] = {0};
	void *mem;

	*q = (struct guest_queue){.w = w};
	assert_int_equal(hv_alloc(w->guest, SLOTS + 1, &mem), 0);
	for (unsigned i = 0; i <= SLOTS; i++)
		g[i].page = (char *)mem + i * BH_PAGE_SIZE;
	assert_int_equal(hv_grant(w->guest, 0, g, SLOTS + 1), 0);
	assert_int_equal(hv_port_alloc(w->guest, 0, &q->port), 0);
	q->ring = mem;
	q->data = (char *)mem + BH_PAGE_SIZE;
	q->ring_gref = g[0].gref;
	for (unsigned i = 0; i < SLOTS; i++)
		q->gref[i] = g[i + 1].gref;
	q->ring->req_event = q->ring->rsp_event = 1;
}

static inline char *guest_page(struct guest_queue *q, unsigned id) { return q->data + id * BH_PAGE_SIZE; }

/* Request id: page id of its data, sectors [8 * block, 8 * block + 8). */
static inline void guest_put(struct guest_queue *q, unsigned op, unsigned id, unsigned block)
{
	blkif_request_t *r = &q->ring->ring[q->req_prod & (SLOTS - 1)].req;

	assert_false(q->waits[id]);
	*r = (blkif_request_t){.operation = (uint8_t)op, .nr_segments = 1, .id = id, .sector_number = 8ull * block};
	r->seg[0].gref = q->gref[id];
	r->seg[0].last_sect = 7;
	q->waits[id] = true;
	q->req_prod++;
}

static inline void guest_push(struct guest_queue *q)
{
	smp_store_release(&q->ring->req_prod, q->req_prod); /* pairs with the backend's load of it */
	hv_port_notify(q->port);
}

/* Takes what is answered; how many. */
static inline unsigned guest_take(struct guest_queue *q)
{
	uint32_t prod = smp_load_acquire(&q->ring->rsp_prod);
	unsigned n = 0;

	assert_true(prod - q->rsp_cons <= q->req_prod - q->rsp_cons); /* never more answers than requests */
	for (; q->rsp_cons != prod; q->rsp_cons++, n++) {
		blkif_response_t r = q->ring->ring[q->rsp_cons & (SLOTS - 1)].rsp;

		assert_true(r.id < SLOTS && q->waits[r.id]); /* not answered before */
		q->waits[r.id] = false;
		q->answered++;
		q->wrong += r.status != BLKIF_RSP_OKAY;
	}
	return n;
}

static inline unsigned guest_outstanding(const struct guest_queue *q) { return q->req_prod - q->rsp_cons; }

static inline void guest_finish(struct guest_queue *q)
{
	UNTIL((guest_take(q), guest_outstanding(q) == 0));
}

/* ---- one device, as the supervisor sees it */

struct device {
	struct world *w;
	struct guest_queue q[QUEUES_MAX];
	struct hv_port *bound[QUEUES_MAX];
	struct hv_port *ctrl; /* of a vif's control ring; NULL: none */
	struct stub_dev sd; /* descriptors are put in at each start */
	int image;
	char image_path[128];
};

static inline void device_open(struct world *w, struct device *d, const char *spec, unsigned nqueues)
{
	static unsigned count;
	struct conn_id *c = &d->sd.conn;
	int fd;

	*d = (struct device){.w = w};
	count++;
	d->sd = (struct stub_dev){.kind = STUB_FRESH, .image_fd = -1, .steer_fd = -1, .fence_base = ENGINE_FENCE_BASE, .serial = 1000 + count};
	*c = (struct conn_id){.vm_uuid = {1, 2}, .domid = w->domid, .devid = 51712 + count, .type = CONN_VBD,
			      .protocol = CONN_NATIVE, .nqueues = nqueues, .ring_pages = 1, .features = CONN_FLUSH, .epoch = count};
	snprintf(d->sd.spec, sizeof(d->sd.spec), "%s", spec);
	snprintf(d->sd.journal, sizeof(d->sd.journal), "%s/journal-%u", w->dir, count);
	snprintf(d->image_path, sizeof(d->image_path), "%s/image-%u", w->dir, count);
	for (unsigned i = 0; i < nqueues; i++) {
		guest_queue_open(w, &d->q[i]);
		c->q[i].gref[0] = d->q[i].ring_gref;
		c->q[i].evtchn = hv_port_number(d->q[i].port);
		assert_int_equal(hv_port_bind(w->supervisor, w->domid, c->q[i].evtchn, &d->bound[i]), 0);
	}
	fd = open(d->sd.journal, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, (off_t)jrnl_file_bytes(SLOTS, nqueues)), 0);
	close(fd);
	d->image = open(d->image_path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_true(d->image >= 0);
	assert_int_equal(ftruncate(d->image, DISK_BYTES), 0);
}

static inline void device_close(struct device *d)
{
	for (unsigned i = 0; i < d->sd.conn.nqueues; i++) {
		hv_port_close(d->bound[i]);
		hv_port_close(d->q[i].port);
	}
	close(d->image);
}

/* ---- a stub */

#define STUB_DEVS 2u

struct stub_proc {
	struct world *w;
	pid_t pid;
	int pidfd, ctl;
	int poke[STUB_DEVS][QUEUES_MAX];
};

/* How to start it, beside the devices. */
struct stub_how {
	const char *arg; /* "--probe" or NULL */
	bool standby;
	uint32_t uid;
	enum stub_kind kind; /* 0: as in the device */
	const char *program; /* NULL: bulkhead-blk */
};

#define FD_SPACE 40 /* what a child's inherited descriptors are moved above */

/* In the child: gives fd the next number from FD_SPACE on, inheritable. */
static inline int pass_on(int fd)
{
	int n = fcntl(fd, F_DUPFD, FD_SPACE);

	if (n < 0)
		_exit(126);
	return n;
}

static inline struct stub_port pass_port(struct hv_port *bound)
{
	struct stub_port p = {.fd = {-1, -1}, .local = hv_port_number(bound)};
	int fds[HV_PORT_FDS];

	p.nfds = (uint32_t)hv_port_fds(bound, fds);
	for (uint32_t i = 0; i < p.nfds; i++)
		p.fd[i] = pass_on(fds[i]);
	return p;
}

static inline void pass_device(struct stub_dev *sd, const struct device *d, const int *poke)
{
	if (strncmp(sd->spec, "null:", 5) != 0)
		sd->image_fd = pass_on(d->image);
	if (d->ctrl)
		sd->ctrl = pass_port(d->ctrl);
	for (unsigned k = 0; k < sd->conn.nqueues; k++) {
		sd->q[k].port = pass_port(d->bound[k]);
		sd->q[k].poke_fd = pass_on(poke[k]);
		sd->q[k].net_fd = -1;
	}
}

static inline void exec_stub(struct stub_start *s, size_t bytes, const struct stub_how *how, int ctl)
{
	int fd = memfd_create("record", MFD_ALLOW_SEALING);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || write(fd, s, bytes) != (ssize_t)bytes ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		_exit(126);
	ctl = fcntl(ctl, F_DUPFD, FD_SPACE);
	fd = fcntl(fd, F_DUPFD, FD_SPACE);
	if (dup2(fd, STUB_FD_RECORD) < 0 || dup2(ctl, STUB_FD_CTL) < 0)
		_exit(126);
	execl(program(how->program ? how->program : "bulkhead-blk"), "stub", how->arg, (char *)NULL);
	_exit(127);
}

static inline void stub_start(struct stub_proc *p, struct device *const *devs, unsigned ndevs, const struct stub_how *how)
{
	size_t bytes = stub_start_bytes(ndevs);
	struct stub_start *s = calloc(1, bytes);
	int ctl[2], poke[STUB_DEVS][QUEUES_MAX];

	assert_non_null(s);
	*p = (struct stub_proc){0};
	*s = (struct stub_start){.magic = STUB_MAGIC, .version = STUB_VERSION, .standby = how->standby, .ndevs = ndevs,
				 .uid = how->uid, .gid = how->uid, .provider_local = 1};
	snprintf(s->runtime_dir, sizeof(s->runtime_dir), "%s", devs[0]->w->dir);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl), 0);
	for (unsigned i = 0; i < ndevs; i++)
		for (unsigned k = 0; k < QUEUES_MAX; k++) {
			int pair[2];

			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
			p->poke[i][k] = pair[0];
			poke[i][k] = pair[1];
		}
	p->pid = fork();
	if (p->pid == 0) {
		for (unsigned i = 0; i < ndevs; i++) {
			s->dev[i] = devs[i]->sd;
			if (how->kind)
				s->dev[i].kind = how->kind;
			pass_device(&s->dev[i], devs[i], poke[i]);
		}
		exec_stub(s, bytes, how, ctl[1]);
	}
	assert_true(p->pid > 0);
	p->w = devs[0]->w;
	world_note_stub(p->w, 0, p->pid);
	p->pidfd = pidfd_open(p->pid, 0);
	assert_true(p->pidfd >= 0);
	p->ctl = ctl[0];
	close(ctl[1]);
	for (unsigned i = 0; i < ndevs; i++)
		for (unsigned k = 0; k < QUEUES_MAX; k++)
			close(poke[i][k]);
	free(s);
}

static inline bool readable(int fd, uint64_t within_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, (int)(within_ns / NS_PER_MS)) == 1;
}

/* The stub's next message; it must be of that type. */
static inline struct stub_msg stub_says(struct stub_proc *p, enum stub_msg_type type)
{
	struct stub_msg m = {0};

	if (!readable(p->ctl, DEADLINE_NS))
		fail_msg("the stub says nothing");
	assert_int_equal(recv(p->ctl, &m, sizeof(m), 0), sizeof(m));
	if (m.type != type)
		fail_msg("the stub said %u (\"%s\"), not %u", m.type, m.text, type);
	return m;
}

static inline void stub_tell(struct stub_proc *p, enum stub_msg_type type, uint64_t arg)
{
	const struct stub_msg m = {.type = type, .arg = {arg}};

	assert_int_equal(fdmsg_send(p->ctl, &m, sizeof(m), NULL, 0), 0);
}

/* Waits for its end, gives everything back. The status as of waitpid. */
static inline int stub_end(struct stub_proc *p)
{
	int status;

	if (!readable(p->pidfd, DEADLINE_NS))
		fail_msg("the stub does not end");
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	world_note_stub(p->w, p->pid, 0);
	close(p->pidfd);
	close(p->ctl);
	for (unsigned i = 0; i < STUB_DEVS; i++)
		for (unsigned k = 0; k < QUEUES_MAX; k++)
			if (p->poke[i][k])
				close(p->poke[i][k]);
	*p = (struct stub_proc){0};
	return status;
}

static inline int stub_exit_status(struct stub_proc *p)
{
	int status = stub_end(p);

	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static inline void stub_kill(struct stub_proc *p)
{
	assert_int_equal(kill(p->pid, SIGKILL), 0);
	assert_true(WIFSIGNALED(stub_end(p)));
}

/* ---- common steps */

static struct world world;
static const char *const sync_disk = "mem:1M";

static inline void fill(struct guest_queue *q, unsigned id, unsigned stamp)
{
	for (unsigned i = 0; i < BH_PAGE_SIZE / sizeof(stamp); i++)
		((unsigned *)(void *)guest_page(q, id))[i] = stamp + i;
}

static inline bool is_filled(struct guest_queue *q, unsigned id, unsigned stamp)
{
	for (unsigned i = 0; i < BH_PAGE_SIZE / sizeof(stamp); i++)
		if (((unsigned *)(void *)guest_page(q, id))[i] != stamp + i)
			return false;
	return true;
}

/* One request for every slot, each for a block of its own. */
static inline void put_all(struct guest_queue *q, unsigned op, unsigned stamp)
{
	for (unsigned id = 0; id < SLOTS; id++) {
		if (op == BLKIF_OP_WRITE)
			fill(q, id, stamp + id);
		else
			memset(guest_page(q, id), 0, BH_PAGE_SIZE);
		guest_put(q, op, id, id);
	}
	guest_push(q);
}

static inline void expect_all(struct guest_queue *q, unsigned stamp)
{
	put_all(q, BLKIF_OP_READ, 0);
	guest_finish(q);
	assert_int_equal(q->wrong, 0);
	for (unsigned id = 0; id < SLOTS; id++)
		assert_true(is_filled(q, id, stamp + id));
}

static inline void start_fresh(struct stub_proc *p, struct device *d)
{
	struct stub_msg m;

	stub_start(p, &d, 1, &(struct stub_how){0});
	m = stub_says(p, STUB_CONNECTED);
	assert_int_equal(m.serial, d->sd.serial);
	assert_int_equal(m.generation, 1);
}

static inline void resume(struct stub_proc *p, struct device *d)
{
	stub_start(p, &d, 1, &(struct stub_how){.kind = STUB_RESUME});
}

/* ---- for cmocka: one world for all tests of a program */

static inline int open_world(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	world_open(&world);
	return 0;
}

static inline int reap_stubs(void **state)
{
	(void)state;
	world_reap_stubs(&world);
	return 0;
}

static inline int close_world(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

#define T(f) cmocka_unit_test_teardown(f, reap_stubs)

#endif
