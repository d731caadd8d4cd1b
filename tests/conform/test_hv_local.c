/* The local provider keeps the contract of hv.h, with a hub of its own in each test; and what only it can show: real
 * deaths, memory that is really read-only, the hub among broken clients, its link to the store. */
#include "tests/conform/conform_hv.c"

#include "ring/base/err.h"
#include "ring/hv/hub_client.h"
#include "ring/os/fdmsg.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct hub_world {
	char dir[64], store[96];
	pid_t hub;
	int admin;
};

static rlim_t hub_fds; /* 0: as many as it gets */

static pid_t spawn_hub(const char *dir)
{
	char self[PATH_MAX], prog[PATH_MAX + 32], *cut;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	pid_t pid;

	assert_true(n > 0);
	self[n] = '\0';
	cut = strstr(self, "/tests/conform/");
	assert_non_null(cut);
	*cut = '\0';
	snprintf(prog, sizeof(prog), "%s/bin/bulkhead-hub", self);
	pid = fork();
	if (pid == 0) {
		struct rlimit r = {hub_fds, hub_fds};
		int null = open("/dev/null", O_WRONLY);

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves no hub behind */

		dup2(null, STDERR_FILENO);
		if (hub_fds)
			setrlimit(RLIMIT_NOFILE, &r);
		execl(prog, "bulkhead-hub", "--runtime-dir", dir, NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static void *begin(void)
{
	struct hub_world *h = calloc(1, sizeof(*h));

	strcpy(h->dir, "/tmp/hvXXXXXX");
	assert_non_null(mkdtemp(h->dir));
	snprintf(h->store, sizeof(h->store), "%s/" HUB_STORE_SOCK, h->dir);
	h->hub = spawn_hub(h->dir);
	for (int tries = 25000; (h->admin = hub_client_open(h->dir, HUB_ADMIN, NULL, 0, 0, NULL)) < 0; tries--) {
		const struct timespec t = {.tv_nsec = 200 * 1000};

		assert_true(tries && waitpid(h->hub, NULL, WNOHANG) == 0); /* is bin/bulkhead-hub built? */
		nanosleep(&t, NULL);
	}
	return h;
}

static void end(void *ctx)
{
	struct hub_world *h = ctx;
	char lock[96];
	int st;

	close(h->admin);
	assert_int_equal(kill(h->hub, SIGTERM), 0);
	assert_int_equal(waitpid(h->hub, &st, 0), h->hub);
	assert_true(WIFEXITED(st) && WEXITSTATUS(st) == 0);
	unlink(h->store);
	snprintf(lock, sizeof(lock), "%s/hub.lock", h->dir);
	unlink(lock);
	assert_int_equal(rmdir(h->dir), 0); /* it left nothing else */
	free(h);
}

static int admin(void *ctx, union hub_buf *q) { return hub_client_call(((struct hub_world *)ctx)->admin, q, NULL, NULL); }

static hv_domid_t domain(void *ctx, const char *name)
{
	union hub_buf q = {.m = {.op = HUB_DOM_CREATE}};

	strcpy(q.m.name, name);
	assert_int_equal(admin(ctx, &q), 0);
	return q.m.dom;
}

static void destroy(void *ctx, hv_domid_t dom)
{
	union hub_buf q = {.m = {.op = HUB_DOM_DESTROY, .dom = dom}};

	assert_int_equal(admin(ctx, &q), 0);
}

static int open_local(void *ctx, const struct hv_open *o, struct hv **out)
{
	struct hv_open with_dir = *o;

	with_dir.runtime_dir = ((struct hub_world *)ctx)->dir;
	return hv_open("local", &with_dir, out);
}

static void end_local(void *ctx, struct hv *hv)
{
	(void)ctx;
	hv_close(hv);
}

static struct hv_usage total(void *ctx, hv_domid_t dom)
{
	union hub_buf q = {.m = {.op = HUB_DOM_LIST}};
	struct hub_dom d;

	assert_int_equal(admin(ctx, &q), 0);
	for (size_t i = 0; i < q.m.nent; i++) {
		memcpy(&d, (char *)q.m.ent + i * sizeof(d), sizeof(d));
		if (d.domid == dom)
			return (struct hv_usage){.granted = d.ngrants, .ports = d.nports};
	}
	fail();
	return (struct hv_usage){0};
}

static const struct conform_hv local = {
	.name = "local",
	.threads = true,
	.real_fds = true,
	.begin = begin,
	.end = end,
	.domain = domain,
	.destroy = destroy,
	.open = open_local,
	.kill = end_local,
	.total = total,
};

/* ---- what only this provider has */

static void a_killed_stub_maps_nothing(void **state)
{
	struct world *w = *state;
	hv_gref_t g[2] = {grant(w, 0, false), grant(w, 1, false)};
	struct hv_port *fe, *bound, *p;
	int ready[2], fds[HV_PORT_FDS];
	pid_t pid;
	char c;

	assert_int_equal(hv_port_alloc(w->fe, 0, &fe), 0);
	assert_int_equal(hv_port_bind(w->sup, w->dom, hv_port_number(fe), &bound), 0);
	hv_port_fds(bound, fds);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct hv *be = open_as(w, HV_STUB, w->dom, NULL);
		struct hv_map m = {.gref = g[0]};
		void *ring;

		if (hv_map(be, w->dom, &m, 1) || hv_map_ring(be, w->dom, &g[1], 1, &ring) ||
		    hv_port_adopt(be, fds, HV_PORT_FDS, hv_port_number(bound), &p) || hv_port_notify(p))
			_exit(1);
		*(char *)m.addr = *(char *)ring = 99;
		_exit(write(ready[1], "x", 1) == 1 && pause() ? 2 : 3);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(hv_ungrant(w->fe, g, 2, NULL), -EBUSY);
	assert_true(pending(w, fe, true));
	assert_int_equal(hv_port_clear(fe), 1);
	assert_int_equal(hv_port_notify(fe), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	until(ungrants, w, g[0]);
	until(ungrants, w, g[1]);
	assert_int_equal(page(w, 0)[0], 99);
	assert_int_equal(page(w, 1)[0], 99);
	assert_true(pending(w, bound, true)); /* the event that the dead one did not see */
	close(ready[0]);
	close(ready[1]);
}

static void read_only_is_real(void **state)
{
	struct world *w = *state;
	hv_gref_t g = grant(w, 4, true);
	char *m = map(w, g, true);
	int st;
	pid_t pid;

	assert_int_equal(mprotect(m, BH_PAGE_SIZE, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(errno, EACCES);
	pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile char *)m = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFSIGNALED(st) || WEXITSTATUS(st) != 0); /* a sanitizer exits */
	assert_int_equal(page(w, 4)[0], 5);
}

/* Resident kilobytes of the mapping that begins at or holds addr. */
static long resident(const void *addr)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	unsigned long from, to;
	long kb = -1;
	bool in = false;

	assert_non_null(f);
	while (kb < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			in = (uintptr_t)addr >= from && (uintptr_t)addr < to;
		else if (in)
			sscanf(line, "Rss: %ld kB", &kb);
	}
	fclose(f);
	return kb;
}

static void a_large_region_is_not_populated_but_a_ring_is(void **state)
{
	struct world *w = *state;
	size_t n = HV_REGION_MAX / BH_PAGE_SIZE;
	char *m = pages(w->fe, n, 0), *v;
	struct hv_grant g[2] = {{.page = m + 100 * BH_PAGE_SIZE}, {.page = m + 300 * BH_PAGE_SIZE}};
	void *ring;

	assert_int_equal(hv_grant(w->fe, 0, g, 2), 0);
	v = map(w, g[0].gref, false);
	*v = 1;
	assert_in_range(resident(v), 1, 256);
	assert_int_equal(hv_map_ring(w->be, w->dom, (hv_gref_t[]){g[1].gref, g[0].gref}, 2, &ring), 0);
	assert_int_equal(resident(ring), 4);
	assert_int_equal(resident((char *)ring + BH_PAGE_SIZE), 4);
	assert_int_equal(*((char *)ring + BH_PAGE_SIZE), 1);
}

static int copy(struct world *w, hv_gref_t g, bool to_guest, char *byte)
{
	struct hv_copy c = {.gref = g, .len = 1, .local = byte, .to_guest = to_guest};
	int rc = hv_copy(w->be, w->dom, &c, 1);

	return rc && rc != -EIO ? rc : c.status;
}

/* A hub that stands still is in nobody's way, once the memory is known; what it has said meanwhile is. */
static void copies_do_not_wait_for_the_hub(void **state)
{
	struct world *w = *state;
	hv_gref_t g = grant(w, 0, false), ro = grant(w, 1, true), other = grant(w, 2, false);
	pid_t hub = ((struct hub_world *)w->ctx)->hub;
	char byte = 0;

	assert_int_equal(copy(w, g, false, &byte), 0);
	assert_int_equal(copy(w, g, true, &byte), 0);
	alarm(20);
	kill(hub, SIGSTOP);
	assert_int_equal(copy(w, ro, false, &byte), 0);
	assert_int_equal(byte, page(w, 1)[0]);
	byte = 77;
	assert_int_equal(copy(w, other, true, &byte), 0);
	assert_int_equal(page(w, 2)[0], 77);
	assert_int_equal(copy(w, ro, true, &byte), -EACCES);
	assert_int_equal(copy(w, 4242, false, &byte), -EINVAL);
	assert_int_equal(copy(w, 0, false, &byte), -EINVAL);
	assert_int_equal(copy(w, UINT32_MAX, false, &byte), -EINVAL);
	kill(hub, SIGCONT);
	assert_int_equal(hv_ungrant(w->fe, &other, 1, NULL), 0);
	kill(hub, SIGSTOP);
	assert_int_equal(copy(w, other, true, &byte), -EINVAL);
	kill(hub, SIGCONT);
	alarm(0);
}

static int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:guest") != NULL;
	fclose(f);
	return n;
}

static void idle_regions_are_let_go(void **state)
{
	struct world *w = *state;
	struct hv_copy c = {.len = 1, .local = &(char){0}};
	struct hv_grant g;
	hv_gref_t first = grant(w, 0, false);
	void *held = map(w, first, true);
	int before = mappings();

	for (int i = 0; i < 200; i++) { /* a frontend that makes regions without end */
		void *m = pages(w->fe, 1, i);

		g = (struct hv_grant){.page = m};
		assert_int_equal(hv_grant(w->fe, 0, &g, 1), 0);
		c.gref = g.gref;
		assert_int_equal(hv_copy(w->be, w->dom, &c, 1), 0);
		assert_int_equal(*(char *)c.local, (char)i);
		c.gref = first;
		assert_int_equal(hv_copy(w->be, w->dom, &c, 1), 0);
		assert_int_equal(*(char *)c.local, 1);
		assert_int_equal(hv_ungrant(w->fe, &g.gref, 1, NULL), 0);
		assert_int_equal(hv_free(w->fe, m, 1), 0);
	}
	assert_in_range(mappings() - before, 0, 18);
	assert_int_equal(*(char *)held, 1);
}

static void more_regions_than_fds_fit_a_message(void **state)
{
	enum { N = 150 };
	struct world *w = *state;
	struct hv_grant g[N];
	struct hv_map m[N];

	for (int i = 0; i < N; i++) {
		g[i] = (struct hv_grant){.page = pages(w->fe, 1, i)};
		assert_int_equal(hv_grant(w->fe, 0, &g[i], 1), 0);
		m[i] = (struct hv_map){.gref = g[i].gref, .ro = i % 2};
	}
	assert_int_equal(hv_map(w->be, w->dom, m, N), 0);
	for (int i = 0; i < N; i++)
		assert_int_equal(*(char *)m[i].addr, (char)i);
}

static void broken_clients_end_alone(void **state)
{
	struct world *w = *state;
	struct hub_world *h = w->ctx;
	char path[96];
	union hub_buf q = {.m = {.op = HUB_MAP}};
	int mute[20], s;
	unsigned seed = 1;

	snprintf(path, sizeof(path), "%s/" HUB_SOCK, h->dir);
	for (size_t i = 0; i < 20; i++)
		mute[i] = fdmsg_connect(path); /* says nothing */
	for (int i = 0; i < 300; i++) {
		union hub_buf junk;

		for (size_t k = 0; k < sizeof(junk); k++)
			junk.room[k] = (char)rand_r(&seed);
		s = fdmsg_connect(path);
		assert_true(s >= 0);
		assert_int_equal(fdmsg_send(s, &junk, 1 + (size_t)rand_r(&seed) % sizeof(junk), &s, i % 2), 0);
		assert_int_equal(fdmsg_recv(s, &junk, sizeof(junk), NULL, NULL), 0); /* hung up on */
		close(s);
	}
	s = fdmsg_connect(path); /* before HELLO */
	assert_int_equal(hub_client_call(s, &q, NULL, NULL), -ECONNRESET);
	close(s);
	assert_int_equal(hv_domain_state(w->sup, w->dom), 1);
	assert_int_equal(*(char *)map(w, grant(w, 0, false), true), 1);
	for (size_t i = 0; i < 20; i++)
		close(mute[i]);
}

static void out_of_descriptors_the_hub_recovers(void **state)
{
	struct hub_world *h;
	struct hv_open o = {.role = HV_FRONTEND, .domain = "guest"};
	struct hv *hv;
	int s[100], n = 0, rc;
	char path[96];
	void *m;

	(void)state;
	hub_fds = 48;
	h = begin();
	hub_fds = 0;
	domain(h, "guest");
	assert_int_equal(open_local(h, &o, &hv), 0);
	while ((rc = hv_alloc(hv, 1, &m)) == 0)
		assert_true(++n < 48);
	assert_int_equal(rc, -EMFILE); /* said, not hidden */
	snprintf(path, sizeof(path), "%s/" HUB_SOCK, h->dir);
	for (n = 0; n < 20; n++)
		s[n] = fdmsg_connect(path); /* the backlog takes them, the hub cannot */
	assert_int_equal(hv_alloc(hv, 1, &m), -EMFILE); /* those who are in are served */
	while (n)
		close(s[--n]);
	hv_close(hv);
	assert_int_equal(open_local(h, &o, &hv), 0); /* and others again */
	assert_int_equal(hv_alloc(hv, 1, &m), 0);
	hv_close(hv);
	end(h);
}

static void memory_has_a_quota(void **state)
{
	struct world *w = *state;
	int n = 0, rc;
	void *m;

	while ((rc = hv_alloc(w->fe, HV_REGION_MAX / BH_PAGE_SIZE, &m)) == 0)
		assert_true(++n < 100);
	assert_int_equal(rc, -ENOMEM);
	assert_int_equal(n, 63); /* 1 GiB, of which the test's own pages are a part */
	assert_int_equal(hv_free(w->fe, m, 1), -EINVAL);
}

static void providers_are_chosen_by_name(void **state)
{
	struct world *w = *state;
	struct hv_open o = {.role = HV_SUPERVISOR, .runtime_dir = ((struct hub_world *)w->ctx)->dir};
	struct hv_open stub = {.role = HV_STUB, .guest = 1};
	struct hv *hv;

	if (access("/dev/xen/gntdev", F_OK))
		assert_int_equal(hv_open("xen", &stub, &hv), -ENOENT);
	assert_int_equal(hv_open("vmware", &o, &hv), -ENOSYS);
	assert_int_equal(hv_open("auto", &o, &hv), 0);
	hv_close(hv);
	o.runtime_dir = "/nonexistent";
	assert_int_equal(hv_open("local", &o, &hv), -ENOENT);
	assert_null(hv);
}

static void one_hub_in_a_directory(void **state)
{
	struct world *w = *state;
	struct hub_world *h = w->ctx;
	struct stat st;
	char path[96];
	pid_t second = spawn_hub(h->dir);
	int status;

	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(WEXITSTATUS(status), EXIT_PERMANENT);
	snprintf(path, sizeof(path), "%s/" HUB_SOCK, h->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(hv_domain_state(w->sup, w->dom), 1);
}

/* ---- the store */

static int accept_store(int listener)
{
	struct pollfd f = {.fd = listener, .events = POLLIN};

	assert_int_equal(poll(&f, 1, 5000), 1);
	return accept(listener, NULL, NULL);
}

static void expect_note(int s, enum hub_store_op op, hv_domid_t dom, int *fd)
{
	struct pollfd f = {.fd = s, .events = POLLIN};
	struct hub_store_msg m;
	size_t n = fd ? 1 : 0;
	int none;

	assert_int_equal(poll(&f, 1, 5000), 1);
	assert_int_equal(fdmsg_recv(s, &m, sizeof(m), fd ? fd : &none, &n), sizeof(m));
	assert_int_equal(m.op, op);
	assert_int_equal(m.domid, dom);
	assert_int_equal(n, fd ? 1 : 0);
	assert_int_equal(fdmsg_send(s, &m, sizeof(m), NULL, 0), 0);
}

static bool store_is_away(struct world *w, uintptr_t arg)
{
	(void)arg;
	int fd = hv_store_fd(w->fe);

	if (fd >= 0)
		close(fd);
	return fd == -EAGAIN;
}

static void the_store_may_come_and_go(void **state)
{
	struct world *w = *state;
	struct hub_world *h = w->ctx;
	hv_domid_t second;
	struct hv *fe;
	int listener, s, theirs, ours;
	char buf[8];

	assert_int_equal(hv_store_fd(w->fe), -EAGAIN);
	assert_int_equal(hv_store_fd(w->be), -EPERM);
	listener = fdmsg_listen(h->store, 0600);
	assert_true(listener >= 0);
	s = accept_store(listener);
	expect_note(s, HUB_STORE_INTRODUCE, w->dom, NULL);
	expect_note(s, HUB_STORE_SYNCED, 0, NULL);
	second = domain(h, "second");
	expect_note(s, HUB_STORE_INTRODUCE, second, NULL);
	fe = open_as(w, HV_FRONTEND, 0, "second");
	ours = hv_store_fd(fe);
	assert_true(ours >= 0);
	expect_note(s, HUB_STORE_CONNECT, second, &theirs);
	assert_int_equal(write(ours, "hello", 5), 5);
	assert_int_equal(read(theirs, buf, sizeof(buf)), 5);
	destroy(h, second);
	expect_note(s, HUB_STORE_RELEASE, second, NULL);
	close(theirs);
	assert_int_equal(read(ours, buf, sizeof(buf)), 0);
	close(ours);
	close(s); /* the store dies, and starts again */
	close(listener);
	until(store_is_away, w, 0);
	second = domain(h, "third");
	listener = fdmsg_listen(h->store, 0600);
	assert_true(listener >= 0);
	s = accept_store(listener);
	expect_note(s, HUB_STORE_INTRODUCE, w->dom, NULL);
	expect_note(s, HUB_STORE_INTRODUCE, second, NULL);
	expect_note(s, HUB_STORE_SYNCED, 0, NULL);
	hv_close(fe);
	close(s);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		T(a_killed_stub_maps_nothing),
		T(read_only_is_real),
		T(a_large_region_is_not_populated_but_a_ring_is),
		T(copies_do_not_wait_for_the_hub),
		T(idle_regions_are_let_go),
		T(more_regions_than_fds_fit_a_message),
		T(broken_clients_end_alone),
		cmocka_unit_test(out_of_descriptors_the_hub_recovers),
		T(memory_has_a_quota),
		T(providers_are_chosen_by_name),
		T(one_hub_in_a_directory),
		T(the_store_may_come_and_go),
	};

	return conform_hv_run(&local) + cmocka_run_group_tests_name("local's own", t, NULL, NULL);
}
