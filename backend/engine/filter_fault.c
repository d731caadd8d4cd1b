/* filter_fault.c - requests that touch a chosen sector fail, kill the process, or never come back from submit. */
#include "backend/engine/filter_priv.h"
#include "ring/base/barrier.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT64_MAX
#define LAST_ERRNO 133

struct fault {
	struct filter f;
	uint64_t error_at, crash_at, hang_at; /* sectors of 512 bytes */
	int error;
};

static const struct engine_ops fault_ops;

static int parse_errno(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end != text && *end == '\0' && n > 0 && n <= LAST_ERRNO)
		return (int)n;
	for (int e = 1; e <= LAST_ERRNO; e++) {
		const char *name = strerrorname_np(e);

		if (name && strcmp(name, text) == 0)
			return e;
	}
	return 0;
}

/* Takes "key=SECTOR[:ERRNO]" out of s. *error is NULL where no errno may follow. 1 if it was there. */
static int take(struct spec *s, const char *key, uint64_t *sector, int *error, struct engine_error *err)
{
	char value[64], *end;

	if (!spec_take(s, key, value, sizeof(value)))
		return 0;
	errno = 0;
	*sector = strtoull(value, &end, 10);
	if (end == value || value[0] == '-' || errno)
		return engine_fail(err, -EINVAL, "%s is \"%s\", but must be the number of a sector", key, value);
	if (*end == ':' && error) {
		*error = parse_errno(end + 1);
		if (*error)
			return 1;
	}
	if (*end)
		return engine_fail(err, -EINVAL, "%s=%s: \"%s\" is not understood: use SECTOR%s", key, value, end,
				   error ? " or SECTOR:ERRNO, such as 8:ENOSPC" : "");
	return 1;
}

int filter_fault_stack(struct spec *s, struct engine **e, struct engine_error *err)
{
	struct fault found = {.error_at = NOWHERE, .crash_at = NOWHERE, .hang_at = NOWHERE, .error = EIO}, *f;
	int error = take(s, "fault-error", &found.error_at, &found.error, err);
	int crash = error < 0 ? error : take(s, "fault-crash", &found.crash_at, NULL, err);
	int hang = crash < 0 ? crash : take(s, "fault-hang", &found.hang_at, NULL, err);

	if (hang < 0)
		return hang;
	if (!error && !crash && !hang)
		return 0;
	f = malloc(sizeof(*f));
	if (!f)
		return engine_fail(err, -ENOMEM, "out of memory");
	*f = found;
	filter_init(&f->f, &fault_ops, *e);
	*e = &f->f.e;
	return 0;
}

static int fault_queue_open(struct engine *e, unsigned index, struct engine_queue **out)
{
	struct filter_queue *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return -ENOMEM;
	rc = filter_queue_init(q, e, index);
	if (rc) {
		free(q);
		return rc;
	}
	*out = &q->q;
	return 0;
}

static bool touches(const struct engine_req *r, uint64_t sector)
{
	return r->op != ENGINE_FLUSH && sector >= r->off / 512 && sector - r->off / 512 < r->len / 512;
}

static void fault_submit(struct engine_queue *q, struct engine_req *r)
{
	const struct fault *f = CONTAINER_OF(to_filter(q->engine), struct fault, f);

	if (touches(r, f->crash_at)) {
		raise(SIGSEGV);
		abort();
	}
	if (touches(r, f->hang_at))
		for (;;)
			cpu_relax();
	if (touches(r, f->error_at)) {
		r->result = -f->error;
		STAILQ_INSERT_TAIL(&q->refused, r, link);
		return;
	}
	filter_submit(q, r);
}

static const struct engine_ops fault_ops = {
	.name = "fault",
	.close = filter_close,
	.own = filter_own,
	.fence_poll = filter_fence_poll,
	.resize = filter_resize,
	.queue_open = fault_queue_open,
	.queue_close = filter_queue_close,
	.submit = fault_submit,
	.kick = filter_kick,
	.reap = filter_reap,
	.event_fd = filter_event_fd,
	.arm = filter_arm,
};
