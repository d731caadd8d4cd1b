/* cli.h - what the commands of bulkhead(1) share. One thread, one command a process. */
#ifndef BULKHEAD_RECOVERY_CLI_CLI_H
#define BULKHEAD_RECOVERY_CLI_CLI_H

#include "recovery/ctl/ctl_wire.h"
#include "ring/base/base.h"
#include "ring/base/spec.h"
#include "ring/hv/hub_wire.h"
#include "xenstore-glue/client/xs_sync.h"

#include <stdbool.h>

#define CLI_DEADLINE_NS (10ull * 1000 * 1000 * 1000) /* of anything that waits for another process; xl's own */

struct cli {
	char runtime_dir[200];
	bool json;
};

enum { CLI_OK = 0, CLI_FAILED = 1 }; /* and EXIT_USAGE */

/* Prints "bulkhead: text" on stderr; returns CLI_FAILED. cli_usage() adds where help is and returns EXIT_USAGE. */
int cli_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
int cli_usage(const char *fmt, ...) PRINTF_LIKE(1, 2);
void cli_path(const struct cli *c, const char *name, char *path, size_t size);

/* The world: start, stop, wait. */
int cli_start(struct cli *c, int argc, char **argv);
int cli_stop_world(struct cli *c);
/* Domains (local provider): create, destroy, list. */
int cli_create(struct cli *c, int argc, char **argv);
int cli_destroy(struct cli *c, int argc, char **argv);
int cli_list(struct cli *c, int argc, char **argv);
/* Disks and network interfaces. */
int cli_attach(struct cli *c, int argc, char **argv);
int cli_detach(struct cli *c, int argc, char **argv);
/* attach VM vif ...; argv[0] is the VM. */
int cli_attach_vif(struct cli *c, int argc, char **argv);
/* What the supervisor knows and does. */
int cli_status(struct cli *c, int argc, char **argv);
int cli_metrics(struct cli *c, int argc, char **argv);
int cli_events(struct cli *c, int argc, char **argv);
int cli_kill(struct cli *c, int argc, char **argv);
int cli_stop(struct cli *c, int argc, char **argv);
int cli_restart(struct cli *c, int argc, char **argv);
int cli_reset(struct cli *c, int argc, char **argv);
int cli_resize(struct cli *c, int argc, char **argv);
int cli_filter(struct cli *c, int argc, char **argv);
/* The host. */
int cli_doctor(struct cli *c, int argc, char **argv);

/* An administrator's connection to the hub (hub_client.h). A descriptor; or -errno after one clear line. */
int cli_hub(const struct cli *c);
/* The world of this runtime directory is Xen's: no hub is in it. */
bool cli_on_xen(const struct cli *c);
/* CLI_FAILED after one clear line when this command is xl's there; else 0. */
int cli_not_on_xen(const struct cli *c, const char *what, const char *instead);
/* Every domain the hub (on Xen: xenstore, for itself) knows, malloc()ed into *doms. How many, or negative errno. */
int cli_domains(const struct cli *c, struct hub_dom **doms);
/* Domid of a name or number; -ENOENT after one clear line. */
int cli_domid(const struct cli *c, const char *name);
/* Device number of "xvda", enum conn_type CONN_VBD, or "vif0", CONN_VIF; -EINVAL after one clear line. */
int cli_device(const char *name, uint32_t *type, uint32_t *devid);

/* Connects to the supervisor; -errno after one clear line. */
int cli_supervisor(const struct cli *c);
/* A client of xenstore (xsc_path() of this world) for xs_sync.h; closed at exit. NULL after one clear
 * line. */
struct xsc *cli_store(const struct cli *c);
/* The last wait's rc and line, as dev_admin.h's callbacks give them; text is "" without one. */
struct cli_wait {
	struct xsc_wait w;
	char text[256];
};
int cli_store_wait(struct xsc *store, struct cli_wait *w);

/* What attach is told: the parts of a specification as xl has them, and the options of each -o. */
struct cli_specs {
	const char *spec[16];
	int n;
	char options[SPEC_MAX]; /* ",key=value" for each */
};
/* argv[from] and on. shared: whether --shared is there; NULL: it is not known here. what: "a disk", whose specification it is. 0, or an exit status after a line. */
int cli_read_specs(int argc, char **argv, int from, const char *what, bool *shared, struct cli_specs *out);
struct dev_admin_dev;
/* The nodes of a device are being made (w): waits until the supervisor has offered it, and says so, or removes it again, with one clear
 * line. kind: "disk ", or "" where the name says it; name: "xvda". Exit status. */
int cli_offered(struct xsc *xs, struct cli_wait *w, const struct dev_admin_dev *dev, const char *vm, const char *kind, const char *name);

/* "1.5 GiB", "640 us". Into one of a few static buffers. */
const char *cli_bytes(uint64_t n);
const char *cli_time_us(uint64_t us);

#endif
