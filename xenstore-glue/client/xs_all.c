/* A whole directory: its names, then all values at once, and the same for some directories in it. */
#include "ring/base/check.h"
#include "xenstore-glue/client/xs_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct all_job;

/* What one of the requests is about; freed with the job. */
struct part {
	SLIST_ENTRY(part) link;
	struct all_job *all;
	char key[XENSTORE_REL_PATH_MAX + 1]; /* "": the directory itself */
};

struct all_job {
	struct xsc_job job;
	xsc_tx tx;
	bool (*below)(const char *name);
	unsigned max, keys, outstanding;
	xsc_each_fn *each;
	void *ctx;
	int rc;
	SLIST_HEAD(, part) parts;
	char path[XS_PATH_SIZE];
};

static void got_names(void *arg, int rc, const char *data, size_t len);

static void all_free(struct xsc_job *j)
{
	struct all_job *a = CONTAINER_OF(j, struct all_job, job);
	struct part *p;

	while ((p = SLIST_FIRST(&a->parts)) != NULL) {
		SLIST_REMOVE_HEAD(&a->parts, link);
		free(p);
	}
	free(a);
}

/* One answer less to wait for. */
static void part_done(struct all_job *a, int rc)
{
	if (a->rc == 0)
		a->rc = rc;
	if (--a->outstanding == 0)
		xsc_job_end(&a->job, a->rc, NULL, 0);
}

static void got_value(void *arg, int rc, const char *data, size_t len)
{
	struct part *p = arg;
	struct all_job *a = p->all;

	if (rc == -ENOENT)
		rc = 0;
	else if (rc == 0 && a->rc == 0 && !a->job.cancelled)
		rc = a->each(a->ctx, p->key, data, len);
	part_done(a, MIN(rc, 0));
}

static struct part *new_part(struct all_job *a, const char *dir, const char *name)
{
	struct part *p = calloc(1, sizeof(*p));
	int n;

	CHECK(p);
	p->all = a;
	n = snprintf(p->key, sizeof(p->key), "%s%s%s", dir, dir[0] ? "/" : "", name);
	if (n < 0 || (size_t)n >= sizeof(p->key)) {
		free(p);
		return NULL;
	}
	SLIST_INSERT_HEAD(&a->parts, p, link);
	return p;
}

static int ask_value(struct all_job *a, const char *dir, const char *name)
{
	char path[XS_PATH_SIZE];
	struct part *p = new_part(a, dir, name);

	if (!p || xs_path_join(path, a->path, p->key) < 0)
		return -E2BIG;
	a->outstanding++;
	xsc_submit_part(a->job.xs, &(struct xsc_op){.type = XS_READ,
						    .tx = a->tx,
						    .path = path,
						    .again = true,
						    .timeout_ns = xsc_job_left(&a->job),
						    .fn = got_value,
						    .arg = p});
	return 0;
}

static int ask_names(struct all_job *a, const char *name)
{
	char path[XS_PATH_SIZE];
	struct part *p = new_part(a, "", name);

	if (!p || (*name && xs_path_join(path, a->path, name) < 0))
		return -E2BIG;
	a->outstanding++;
	xsc_directory(a->job.xs, a->tx, *name ? path : a->path, got_names, p);
	return 0;
}

static int each_name(struct all_job *a, const char *dir, const char *name)
{
	int rc;

	if (++a->keys > a->max)
		return -E2BIG;
	rc = ask_value(a, dir, name);
	if (rc == 0 && !dir[0] && a->below && a->below(name))
		rc = ask_names(a, name);
	return rc;
}

static void got_names(void *arg, int rc, const char *data, size_t len)
{
	struct part *p = arg;
	struct all_job *a = p->all;

	if (rc == -ENOENT && p->key[0])
		rc = 0; /* it has just gone */
	for (size_t at = 0; rc == 0 && a->rc == 0 && at < len; at += strlen(data + at) + 1)
		rc = each_name(a, p->key, data + at);
	part_done(a, rc);
}

void xsc_read_all(struct xsc *xs, xsc_tx tx, const char *path, bool (*below)(const char *name), unsigned max,
		  xsc_each_fn *each, void *ctx, xsc_done_fn *done, void *arg)
{
	struct all_job *a = calloc(1, sizeof(*a));

	CHECK(a);
	SLIST_INIT(&a->parts);
	a->tx = tx;
	a->below = below;
	a->max = max;
	a->each = each;
	a->ctx = ctx;
	/* A path that does not fit is refused with the request. */
	snprintf(a->path, sizeof(a->path), "%s", strlen(path) < sizeof(a->path) ? path : "//");
	xsc_job_start(xs, &a->job, done, arg, all_free);
	CHECK(ask_names(a, "") == 0);
}
