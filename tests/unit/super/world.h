/* world.h - a whole world for the supervisor's tests, and guests in it that speak xenstore but serve no requests. Included once,
 * behind fake_stub.h. */
#ifndef BULKHEAD_TESTS_WORLD_H
#define BULKHEAD_TESTS_WORLD_H

#include "recovery/ctl/ctl_client.h"
#include "recovery/super/procs.h"
#include "ring/base/base.h"
#include "ring/hv/hub_client.h"
#include "ring/hv/hv.h"
#include "xenstore-glue/bus/dev_admin.h"
#include "xenstore-glue/bus/xenbus.h"
#include "xenstore-glue/bus/xs_tree.h"
#include "xenstore-glue/client/xs_sync.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <cmocka.h>

#define WITHIN_NS (10 * NS_PER_S)
#define DEVID 51712u

extern char **environ;

static struct {
	char dir[64], run[96], libexec[96], bin[PATH_MAX];
	pid_t keep;
	struct loop *loop;
	struct xsc *xs;
	bool missing;
} w;

/* A guest with one device. */
struct guest {
	char name[32];
	uint32_t type, devid;
	struct hv *hv;
	uint32_t domid;
	char back[128], front[128];
	struct hv_port *port;
	hv_gref_t ring;
	void *page;
};

static struct guest guests[32]; /* of all tests: a guest lives as long as its world */
static unsigned nguests;

/* ---- the world */

static const char *const programs[] = {"bulkhead-hub", "bulkhead-store", "bulkheadd", "bulkhead-keep"};

static const char *const stubs[] = {"bulkhead-blk", "bulkhead-net"};

static int make_libexec(void)
{
	char self[PATH_MAX], from[PATH_MAX + 64], to[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return -1;
	self[n] = '\0';
	if (mkdir(w.libexec, 0755))
		return -1;
	for (unsigned i = 0; i < ARRAY_LEN(stubs); i++) {
		snprintf(to, sizeof(to), "%s/%s", w.libexec, stubs[i]);
		if (symlink(self, to))
			return -1;
	}
	/* build/VARIANT/tests/unit/super/test_world -> build/VARIANT/bin */
	for (int up = 0; up < 4; up++)
		*strrchr(self, '/') = '\0';
	snprintf(w.bin, sizeof(w.bin), "%.*s/bin", PATH_MAX - 8, self);
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		snprintf(from, sizeof(from), "%s/%s", w.bin, programs[i]);
		snprintf(to, sizeof(to), "%s/%s", w.libexec, programs[i]);
		w.missing = w.missing || access(from, X_OK) != 0;
		if (symlink(from, to))
			return -1;
	}
	return 0;
}

static int start_keep(const char *placement)
{
	char file[160];
	const char *argv[] = {"bulkhead-keep", "--runtime-dir", w.run, "--libexec", w.libexec, "--", "--placement", placement,
			      "--log-level", getenv("VERBOSE") ? "debug" : "error", NULL};

	snprintf(file, sizeof(file), "%s/bulkhead-keep", w.libexec);
	return posix_spawn(&w.keep, file, NULL, NULL, (char *const *)(uintptr_t)argv, environ);
}

static int world_up(const char *placement)
{
	struct xsc_cfg cfg = {0};
	char path[PATH_MAX];

	memset(&w, 0, sizeof(w));
	strcpy(w.dir, "/tmp/bulkhead-world-XXXXXX");
	if (!mkdtemp(w.dir))
		return -1;
	snprintf(w.run, sizeof(w.run), "%s/run", w.dir);
	snprintf(w.libexec, sizeof(w.libexec), "%s/libexec", w.dir);
	if (make_libexec())
		return -1;
	if (w.missing)
		return 0;
	unsetenv("XENSTORED_PATH");
	if (start_keep(placement) || loop_open(&w.loop) || xsc_path(w.run, path, sizeof(path)))
		return -1;
	cfg.loop = w.loop;
	cfg.path = path;
	return xsc_open(&cfg, &w.xs);
}

static int up_per_device(void **state)
{
	(void)state;
	return world_up("per-device");
}
static inline int up_monolithic(void **state)
{
	(void)state;
	return world_up("monolithic");
}

static int world_down(void **state)
{
	char command[128];
	int status = 0;

	(void)state;
	while (nguests) {
		if (guests[--nguests].hv)
			hv_close(guests[nguests].hv);
		guests[nguests] = (struct guest){0};
	}
	if (!w.missing) {
		xsc_close(w.xs);
		loop_close(w.loop);
		kill(w.keep, SIGTERM);
		waitpid(w.keep, &status, 0);
	}
	snprintf(command, sizeof(command), "rm -rf %s", w.dir);
	return system(command) || status;
}

static void need_programs(void)
{
	if (!w.missing)
		return;
	print_message("skip: the programs are not built\n");
	skip();
}

/* ---- looking */

static int ctl(void)
{
	uint64_t until = clock_now() + WITHIN_NS;
	int fd;

	while ((fd = ctl_client_open(w.run)) < 0 && clock_now() < until)
		usleep(5000);
	assert_true(fd >= 0);
	return fd;
}

static bool look(const struct guest *g, struct ctl_dev *out)
{
	struct ctl_reply r;
	struct ctl_dev *d = NULL;
	int fd = ctl(), n = ctl_client_status(fd, g->type, g->domid, g->devid, &d, &r);

	close(fd);
	if (n == 1)
		*out = d[0];
	free(d);
	return n == 1;
}

static struct ctl_dev wait_state(const struct guest *g, enum ctl_state want, bool standby)
{
	uint64_t until = clock_now() + WITHIN_NS;
	struct ctl_dev d = {0};

	while (clock_now() < until) {
		if (look(g, &d) && d.state == want && (!standby || d.standby_pid))
			return d;
		usleep(2000);
	}
	print_message("%s is %s (%s), pid %d, standby %d\n", d.vdev, ctl_state_name((enum ctl_state)d.state), d.text, d.pid,
		      d.standby_pid);
	fail();
	return d;
}

/* Up again after a death: by another process. */
static inline struct ctl_dev wait_other(const struct guest *g, pid_t old)
{
	uint64_t until = clock_now() + WITHIN_NS;
	struct ctl_dev d = {0};

	while (clock_now() < until) {
		if (look(g, &d) && d.state == CTL_UP && d.pid && d.pid != old)
			return d;
		usleep(1000);
	}
	fail();
	return d;
}

static unsigned node_state(const char *dir)
{
	char path[160], value[16];

	snprintf(path, sizeof(path), "%s/state", dir);
	return xsc_sync_read(w.xs, path, value, sizeof(value)) ? 0 : (unsigned)atoi(value);
}

static void wait_node(const char *dir, unsigned want)
{
	uint64_t until = clock_now() + WITHIN_NS;

	while (node_state(dir) != want && clock_now() < until)
		usleep(2000);
	assert_int_equal(node_state(dir), want);
}

/* ---- a guest */

/* The hub tells the store of a new domain; right after the start it may not have met it yet. */
static void wait_introduced(uint32_t domid)
{
	uint64_t until = clock_now() + WITHIN_NS;
	bool known = false;

	while (!known && clock_now() < until) {
		struct xsc_wait wait = {0};

		xsc_is_introduced(w.xs, domid, xsc_wait_done, &wait);
		known = xsc_wait(w.xs, &wait) == 0 && wait.data[0] == 'T';
		xsc_wait_free(&wait);
		if (!known)
			usleep(5000);
	}
	assert_true(known);
}

static struct guest *guest_new(const char *name)
{
	struct guest *g = &guests[nguests++];
	struct dev_admin_domain dom = {.uuid = "00112233-4455-6677-8899-aabbccddeeff"};
	struct xsc_wait wait = {0};
	static union hub_buf q;
	uint64_t until = clock_now() + WITHIN_NS;
	int hub, rc;

	assert_true(nguests <= ARRAY_LEN(guests));
	*g = (struct guest){.type = CONN_VBD, .devid = DEVID};
	while ((hub = hub_client_open(w.run, HUB_ADMIN, NULL, 0, 0, NULL)) < 0 && clock_now() < until)
		usleep(5000);
	assert_true(hub >= 0);
	memset(&q.m, 0, sizeof(q.m));
	q.m.op = HUB_DOM_CREATE;
	snprintf(q.m.name, sizeof(q.m.name), "%s", name);
	assert_int_equal(hub_client_call(hub, &q, NULL, NULL), 0);
	g->domid = q.m.dom;
	close(hub);
	snprintf(g->name, sizeof(g->name), "%s", name);
	wait_introduced(g->domid);
	dom.domid = g->domid;
	snprintf(dom.name, sizeof(dom.name), "%s", name);
	snprintf(dom.uuid, sizeof(dom.uuid), "00112233-4455-6677-8899-%012x", g->domid);
	dev_admin_domain_create(w.xs, &dom, xsc_wait_done, &wait);
	rc = xsc_wait(w.xs, &wait);
	assert_int_equal(rc, 0);
	xsc_wait_free(&wait);
	rc = hv_open("local", &(struct hv_open){.role = HV_FRONTEND, .runtime_dir = w.run, .domain = g->name}, &g->hv);
	assert_int_equal(rc, 0);
	return g;
}

static inline int attach(struct guest *g, const char *params, bool read_only)
{
	static struct dev_admin_vbd v;
	struct xsc_wait wait = {0};
	int rc;

	memset(&v, 0, sizeof(v));
	v.domid = g->domid;
	v.devid = DEVID;
	snprintf(v.wanted.params, sizeof(v.wanted.params), "%s", params);
	strcpy(v.wanted.type, "phy");
	v.wanted.read_only = read_only;
	dev_admin_vbd_create(w.xs, &v, xsc_wait_done, &wait);
	rc = xsc_wait(w.xs, &wait);
	xsc_wait_free(&wait);
	snprintf(g->back, sizeof(g->back), "/local/domain/0/backend/vbd/%u/%u", g->domid, DEVID);
	snprintf(g->front, sizeof(g->front), "/local/domain/%u/device/vbd/%u", g->domid, DEVID);
	return rc;
}

static inline void set_front_state(struct guest *g, unsigned state)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/state", g->front);
	assert_int_equal(xsc_sync_write(w.xs, path, "%u", state), 0);
}

static inline void ask(struct guest *g)
{
	struct hv_grant gr = {0};
	char path[192];

	assert_int_equal(hv_alloc(g->hv, 1, &g->page), 0);
	gr.page = g->page;
	assert_int_equal(hv_grant(g->hv, 0, &gr, 1), 0);
	assert_int_equal(hv_port_alloc(g->hv, 0, &g->port), 0);
	snprintf(path, sizeof(path), "%s/ring-ref", g->front);
	assert_int_equal(xsc_sync_write(w.xs, path, "%u", gr.gref), 0);
	snprintf(path, sizeof(path), "%s/event-channel", g->front);
	assert_int_equal(xsc_sync_write(w.xs, path, "%u", hv_port_number(g->port)), 0);
	snprintf(path, sizeof(path), "%s/protocol", g->front);
	assert_int_equal(xsc_sync_write(w.xs, path, "x86_64-abi"), 0);
	set_front_state(g, XenbusStateInitialised);
}

static inline struct ctl_dev bring_up(struct guest *g, const char *params)
{
	assert_int_equal(attach(g, params, false), 0);
	wait_node(g->back, XenbusStateInitWait);
	ask(g);
	wait_node(g->back, XenbusStateConnected);
	return wait_state(g, CTL_UP, strstr(params, "standby=no") == NULL);
}

/* ---- daemons die */

static inline pid_t supervisor(void)
{
	struct ctl_req q = {.op = CTL_HELLO};
	struct ctl_reply r;
	int fd = ctl();

	assert_int_equal(ctl_client_ask(fd, &q, &r), 0);
	close(fd);
	return (pid_t)r.arg;
}

/* The keeper starts another at once. */
static inline void kill_supervisor(void)
{
	pid_t pid = supervisor();

	kill(pid, SIGKILL);
	while (kill(pid, 0) == 0)
		usleep(1000);
}

static inline void wait_forgotten(const struct guest *g)
{
	uint64_t until = clock_now() + WITHIN_NS;
	struct ctl_dev d;
	bool there;

	while ((there = look(g, &d)) && clock_now() < until)
		usleep(2000);
	assert_false(there);
}

/* As a toolstack does it, with a frontend that lets go. */
static inline void detach(struct guest *g)
{
	struct dev_admin_dev dev = {.domid = g->domid, .devid = g->devid};
	struct xsc_wait wait = {0};

	strcpy(dev.class_name, g->type == CONN_VIF ? "vif" : "vbd");
	set_front_state(g, XenbusStateClosed);
	dev_admin_remove(w.xs, &dev, WITHIN_NS, false, xsc_wait_done, &wait);
	assert_int_equal(xsc_wait(w.xs, &wait), 0);
	xsc_wait_free(&wait);
	wait_forgotten(g);
}

/* By a toolstack that died then, while there is no supervisor: the domain's other nodes say that it was meant. */
static inline void detach_unseen(struct guest *g)
{
	pid_t stub = wait_state(g, CTL_UP, true).pid, pid = supervisor();

	assert_int_equal(kill(w.keep, SIGSTOP), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(xsc_sync_rm(w.xs, g->back), 0);
	assert_int_equal(kill(w.keep, SIGCONT), 0);
	wait_forgotten(g);
	while (kill(stub, 0) == 0) /* until the keeper has reaped it */
		usleep(1000);
}

static inline void destroy(const struct guest *g)
{
	static union hub_buf q;
	int hub = hub_client_open(w.run, HUB_ADMIN, NULL, 0, 0, NULL);

	assert_true(hub >= 0);
	memset(&q.m, 0, sizeof(q.m));
	q.m.op = HUB_DOM_DESTROY;
	q.m.dom = (uint16_t)g->domid;
	assert_int_equal(hub_client_call(hub, &q, NULL, NULL), 0);
	close(hub);
}

static inline pid_t store_pid(void)
{
	char path[160];
	pid_t pid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)w.keep, (int)w.keep);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fscanf(f, "%d", &pid) == 1) {
		char name[32];

		procs_name(pid, name, sizeof(name));
		if (strcmp(name, "bulkhead-store") == 0)
			break;
		pid = 0;
	}
	fclose(f);
	assert_true(pid > 0);
	return pid;
}

/* As xenstored does when it is killed: another one begins with nothing. */
static inline void forget_store(bool super_too)
{
	pid_t super = supervisor();
	char path[160];

	assert_int_equal(kill(w.keep, SIGSTOP), 0);
	assert_int_equal(kill(store_pid(), SIGKILL), 0);
	if (super_too)
		assert_int_equal(kill(super, SIGKILL), 0);
	snprintf(path, sizeof(path), "%s/store.log", w.run);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kill(w.keep, SIGCONT), 0);
}

static inline void has_value(const char *dir, const char *key, const char *want)
{
	char path[192], value[SPEC_MAX] = "";

	snprintf(path, sizeof(path), "%s/%s", dir, key);
	assert_int_equal(xsc_sync_read(w.xs, path, value, sizeof(value)), 0);
	assert_string_equal(value, want);
}

static inline void has_perms(const char *path, const char *want)
{
	struct xsc_wait wait = {0};
	char text[64] = "";

	xsc_get_perms(w.xs, 0, path, xsc_wait_done, &wait);
	assert_int_equal(xsc_wait(w.xs, &wait), 0);
	for (size_t at = 0; at < wait.len; at += strlen(wait.data + at) + 1)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", wait.data + at);
	xsc_wait_free(&wait);
	assert_string_equal(text, want);
}

/* After the store has forgotten all: both ends are as they were, with the same stub. */
static inline void ends_are_back(const struct guest *g, pid_t stub)
{
	char text[32];

	wait_node(g->back, XenbusStateConnected);
	has_value(g->back, "frontend", g->front);
	has_value(g->back, "online", "1");
	has_value(g->front, "state", "4");
	has_value(g->front, "backend", g->back);
	snprintf(text, sizeof(text), "%u", hv_port_number(g->port));
	has_value(g->front, "event-channel", text);
	snprintf(text, sizeof(text), "n%u r0 ", g->domid);
	has_perms(g->front, text);
	snprintf(text, sizeof(text), "n0 r%u ", g->domid);
	has_perms(g->back, text);
	assert_int_equal(wait_state(g, CTL_UP, true).pid, stub);
}

#endif
