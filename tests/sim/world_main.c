/* main() of each daemon on the simulated host: what the real ones do once their options are read. */
#include "recovery/super/keep.h"
#include "recovery/super/sup.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/hv/hub_wire.h"
#include "tests/sim/sim_hv_priv.h"
#include "tests/sim/world.h"
#include "xenstore-glue/store/xs_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

int world_hub_main(void *arg UNUSED)
{
	struct loop *l;

	CHECK(loop_open(&l) == 0);
	hub_store_start(&world->hub, l, world->sim->hub, WORLD_DIR "/" HUB_STORE_SOCK);
	return loop_run(l);
}

static void stop(void *arg UNUSED) {}

int world_keep_main(void *arg UNUSED)
{
	struct keep *k;
	struct loop *l;

	CHECK(loop_open(&l) == 0 && keep_open(l, WORLD_DIR "/" KEEP_SOCK, stop, NULL, &k) == 0);
	return loop_run(l);
}

int world_store_main(void *arg UNUSED)
{
	struct xs_server *s;
	struct xs_store *st;
	struct xs_log *log;
	struct loop *l;
	uint64_t dropped;
	int dir, lock, rc;

	dir = open(WORLD_DIR, O_RDONLY | O_DIRECTORY);
	lock = openat(dir, "store.lock", O_RDWR | O_CREAT, 0600);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return EXIT_TEMPORARY;
	CHECK(xs_store_open(&st, 1) == 0);
	rc = xs_log_open(&log, dir, st, &dropped);
	if (rc)
		world_violation("STORE", "its log can not be read: %s", err_str(rc));
	if (!rc)
		rc = loop_open(&l);
	if (!rc)
		rc = xs_server_open(&s, l, st, log, WORLD_DIR, 0600);
	if (!rc)
		rc = loop_run(l);
	return rc ? EXIT_TEMPORARY : EXIT_DONE;
}

static void on_term(int signo UNUSED, void *arg) { sup_stop((struct sup *)arg); }

int world_super_main(void *arg UNUSED)
{
	struct sup_options o = {.dir = WORLD_DIR, .libexec = "/libexec", .provider = "local", .standby = world->standby,
				.hang_ns = 20 * NS_PER_MS, .placement = (enum sup_placement)world->placement};
	char err[256] = "";
	struct loop *l;
	struct sup *s;
	int rc = loop_open(&l);

	if (!rc)
		rc = sup_open(l, &o, &s, err, sizeof(err));
	if (!rc)
		rc = loop_signal(l, SIGTERM, on_term, s);
	if (rc)
		log_error("%s", err[0] ? err : err_str(rc));
	else
		rc = loop_run(l);
	return rc ? EXIT_TEMPORARY : EXIT_DONE;
}
