/* Directories of any size: one reply if it fits, else part by part. A list that changes between two parts is begun anew. */
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "xenstore-glue/client/xs_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESTARTS_MAX 16

struct dir_job {
	struct xsc_job job;
	xsc_tx tx;
	char path[XS_PATH_SIZE];
	char gen[24];
	unsigned restarts;
	size_t len;
	char *names;
};

static void dir_free(struct xsc_job *j)
{
	struct dir_job *d = CONTAINER_OF(j, struct dir_job, job);

	free(d->names);
	free(d);
}

static void got_part(void *arg, int rc, const char *data, size_t len);

static void ask_part(struct dir_job *d)
{
	char offset[16];
	int n = snprintf(offset, sizeof(offset), "%zu", d->len);

	xsc_submit_part(d->job.xs, &(struct xsc_op){.type = XS_DIRECTORY_PART,
						    .tx = d->tx,
						    .path = d->path,
						    .data = offset,
						    .len = (size_t)n + 1,
						    .again = true,
						    .timeout_ns = xsc_job_left(&d->job),
						    .fn = got_part,
						    .arg = d});
}

/* Takes over the names; 1 when the last is here (an empty one follows it), 0 for more, or an error. */
static int add_names(struct dir_job *d, const char *data, size_t len)
{
	bool last = len && data[len - 1] == '\0' && (len == 1 || data[len - 2] == '\0');
	char *more;

	if (last)
		len--;
	if (len && data[len - 1] != '\0')
		return -EPEER;
	if (len == 0 && !last)
		return -EPEER;
	if (d->len + len > XSC_DIR_MAX)
		return -E2BIG;
	more = realloc(d->names, d->len + len + 1);
	CHECK(more);
	d->names = more;
	if (len)
		memcpy(d->names + d->len, data, len);
	d->len += len;
	d->names[d->len] = '\0';
	return last;
}

static void got_part(void *arg, int rc, const char *data, size_t len)
{
	struct dir_job *d = arg;
	size_t gen_len = rc ? 0 : strnlen(data, len) + 1;

	if (rc == 0 && (gen_len > len || gen_len > sizeof(d->gen)))
		rc = -EPEER;
	if (rc) {
		xsc_job_end(&d->job, rc, NULL, 0);
		return;
	}
	if (d->len == 0)
		memcpy(d->gen, data, gen_len);
	if (strcmp(d->gen, data) != 0) {
		if (++d->restarts > RESTARTS_MAX) {
			xsc_job_end(&d->job, -EAGAIN, NULL, 0);
			return;
		}
		d->len = 0;
		ask_part(d);
		return;
	}
	rc = add_names(d, data + gen_len, len - gen_len);
	if (rc == 0)
		ask_part(d);
	else if (rc == 1)
		xsc_job_end(&d->job, 0, d->names, d->len);
	else
		xsc_job_end(&d->job, rc, NULL, 0);
}

static void got_whole(void *arg, int rc, const char *data, size_t len)
{
	struct dir_job *d = arg;

	if (rc == -E2BIG)
		ask_part(d);
	else if (rc == 0 && len && data[len - 1] != '\0')
		xsc_job_end(&d->job, -EPEER, NULL, 0);
	else
		xsc_job_end(&d->job, rc, data, len);
}

void xsc_directory(struct xsc *xs, xsc_tx tx, const char *path, xsc_done_fn *fn, void *arg)
{
	struct dir_job *d = calloc(1, sizeof(*d));

	CHECK(d);
	d->tx = tx;
	xsc_job_start(xs, &d->job, fn, arg, dir_free);
	/* A path that does not fit is refused with the request. */
	snprintf(d->path, sizeof(d->path), "%s", path);
	xsc_submit_part(xs, &(struct xsc_op){.type = XS_DIRECTORY,
					     .tx = tx,
					     .path = strlen(path) < sizeof(d->path) ? d->path : "//",
					     .again = true,
					     .fn = got_whole,
					     .arg = d});
}
