/* cli_attach.c - what attaching a disk and attaching a network interface share. */
#include "recovery/cli/cli.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/os/clock.h"
#include "xenstore-glue/bus/dev_admin.h"
#include "xenstore-glue/bus/vif_keys.h"
#include "xenstore-glue/bus/xenbus.h"
#include "xenstore-glue/wire/xs_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cli_read_specs(int argc, char **argv, int from, const char *what, bool *shared, struct cli_specs *out)
{
	size_t n = 0;

	for (int i = from; i < argc; i++) {
		if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
			n += (size_t)snprintf(out->options + n, sizeof(out->options) - n, ",%s", argv[++i]);
			if (n >= sizeof(out->options))
				return cli_usage("too many options");
		} else if (shared && strcmp(argv[i], "--shared") == 0) {
			*shared = true;
		} else if (argv[i][0] == '-') {
			return cli_usage(strcmp(argv[i], "-o") ? "attach does not know %s" : "attach: KEY=VALUE is missing behind %s", argv[i]);
		} else if (out->n == (int)ARRAY_LEN(out->spec)) {
			return cli_usage("too many parts of %s specification", what);
		} else {
			out->spec[out->n++] = argv[i];
		}
	}
	return 0;
}

/* 0; else the supervisor wrote why it can not, or does not react: text. */
static int wait_offered(struct xsc *xs, const char *path, char *text, size_t size)
{
	uint64_t deadline = clock_now() + CLI_DEADLINE_NS;
	char state[XS_PATH_SIZE], error[XS_PATH_SIZE], value[16];
	int rc = xs_path_join(state, path, "state");

	CHECK(rc >= 0 && xs_path_join(error, path, "error") >= 0);
	for (;;) {
		rc = xsc_sync_read(xs, state, value, sizeof(value));
		/* After the state: they are written together. */
		if (xsc_sync_read(xs, error, text, size) == 0)
			return -EIO;
		if (rc == 0 && strtoul(value, NULL, 10) >= XenbusStateInitWait)
			return 0;
		if (rc && rc != -ENOENT)
			return snprintf(text, size, "xenstore: %s", err_str(rc)), rc;
		if (clock_now() > deadline)
			return snprintf(text, size, "bulkheadd does not react; see the log"), -ETIMEDOUT;
		loop_once(xsc_loop(xs), 2 * NS_PER_MS);
	}
}

int cli_offered(struct xsc *xs, struct cli_wait *w, const struct dev_admin_dev *dev, const char *vm, const char *kind, const char *name)
{
	char text[256], path[XS_PATH_SIZE];
	int rc = cli_store_wait(xs, w);

	if (rc == -EEXIST)
		return cli_fail("%s has a %s%s already", vm, kind, name);
	if (rc)
		return cli_fail("%s %s: %s", vm, name, w->text);
	xs_path_backend(path, (uint16_t)dev->back_domid, dev->class_name, (uint16_t)dev->domid, dev->devid);
	if (wait_offered(xs, path, text, sizeof(text)) == 0) {
		CHECK(xs_path_join(path, path, VIF_GUEST) >= 0);
		if (xsc_sync_read(xs, path, text, sizeof(text)))
			text[0] = '\0';
		printf("%s of %s is offered%s%s\n", name, vm, text[0] ? ": " : "", text);
		return CLI_OK;
	}
	dev_admin_remove(xs, dev, CLI_DEADLINE_NS / 2, true, xsc_wait_done, &w->w);
	cli_store_wait(xs, w);
	return cli_fail("%s of %s: %s", name, vm, text);
}
