#include "backend/engine/engine_priv.h"
#include "ring/base/barrier.h"
#include "ring/base/check.h"
#include "ring/base/err.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct engine_ops *const engines[] = {&engine_null_ops, &engine_mem_ops, &engine_file_ops};

int engine_fail(struct engine_error *err, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (err->size)
		vsnprintf(err->text, err->size, fmt, ap);
	va_end(ap);
	return rc;
}

static const struct engine_ops *find_engine(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(engines); i++)
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	return NULL;
}

static int parse(const char *text, struct spec *s, const struct engine_ops **ops, struct engine_error *err)
{
	int rc = text ? spec_parse(text, s) : -EINVAL;

	if (rc == -ENAMETOOLONG)
		return engine_fail(err, rc, "the disk's storage is named by too long a text: at most %d bytes", SPEC_MAX - 1);
	if (rc)
		return engine_fail(err, rc, "\"%s\" names no storage: use /PATH, file:/PATH, mem:SIZE or null:SIZE",
				   text ? text : "");
	*ops = find_engine(s->engine);
	if (!*ops)
		return engine_fail(err, -EINVAL, "%s: there is no storage engine \"%s\": use file, mem or null", text,
				   s->engine);
	return 0;
}

static void check_info(const struct engine_info *i)
{
	CHECK(i->sector_size >= 512 && i->sector_size <= ENGINE_MAX_ALIGN && IS_POW2(i->sector_size));
	CHECK(IS_POW2(i->physical_size) && i->physical_size >= i->sector_size);
	CHECK(IS_POW2(i->write_unit) && i->write_unit >= i->sector_size);
	CHECK(IS_POW2(i->buffer_align) && i->buffer_align <= ENGINE_MAX_ALIGN);
	CHECK(i->sectors > 0 && i->sectors <= INT64_MAX / 512 && i->sectors % (i->sector_size / 512) == 0);
}

/* s holds every option: filters take theirs, what is left belongs to the engine. */
static int open_stack(const struct engine_open *o, struct engine **out, struct engine_error *err)
{
	const struct engine_ops *ops;
	struct spec s, inner;
	struct engine *e = NULL;
	char key[64], value[64];
	static const char *const filters[] = {"fault-error", "fault-crash", "fault-hang", "delay"};
	int rc = parse(o->spec, &s, &ops, err);

	if (rc)
		return rc;
	inner = s;
	for (size_t i = 0; i < ARRAY_LEN(filters); i++)
		spec_take(&inner, filters[i], value, sizeof(value));
	if (spec_unknown(&inner, ops->options, key, sizeof(key)))
		return engine_fail(err, -EINVAL, "%s: \"%s\" is not an option of the engine %s", o->spec, key, ops->name);
	rc = ops->open(o, &inner, &e, err);
	if (rc)
		return rc;
	rc = filter_fault_stack(&s, &e, err);
	if (!rc)
		rc = filter_delay_stack(&s, &e, err);
	if (rc) {
		engine_close(e);
		return rc;
	}
	check_info(&e->info);
	*out = e;
	return 0;
}

int engine_open(const struct engine_open *o, struct engine **out, char *text, size_t size)
{
	struct engine_error err = {text, size};
	int rc;

	CHECK(o->queues == 0 || o->depth > 0);
	*out = NULL;
	if (size)
		text[0] = '\0';
	rc = open_stack(o, out, &err);
	if (o->fd >= 0)
		close(o->fd);
	return rc;
}

void engine_close(struct engine *e)
{
	if (e)
		e->ops->close(e);
}

int engine_probe(const struct engine_open *o, struct engine_info *info, char *err, size_t size)
{
	struct engine_open only = *o;
	struct engine *e;
	int rc;

	only.queues = 0;
	rc = engine_open(&only, &e, err, size);
	if (rc)
		return rc;
	*info = e->info;
	engine_close(e);
	return 0;
}

int engine_own(struct engine *e, uint64_t g, bool fresh)
{
	CHECK(g > 0 && g < ENGINE_FENCE_GENERATIONS);
	return e->ops->own(e, g, fresh);
}

int engine_fence_poll(struct engine *e) { return e->ops->fence_poll(e); }

int engine_resize(struct engine *e)
{
	uint64_t sectors = e->info.sectors;
	int rc = e->ops->resize(e, &sectors);

	if (rc || sectors == e->info.sectors)
		return rc;
	store_relaxed(&e->info.sectors, sectors);
	return 1;
}

int engine_queue_open(struct engine *e, unsigned index, struct engine_queue **out)
{
	int rc;

	*out = NULL;
	rc = e->ops->queue_open(e, index, out);
	if (rc)
		return rc;
	(*out)->engine = e;
	(*out)->outstanding = 0;
	STAILQ_INIT(&(*out)->refused);
	return 0;
}

void engine_queue_close(struct engine_queue *q)
{
	struct engine_reqs dropped = STAILQ_HEAD_INITIALIZER(dropped);

	if (!q)
		return;
	engine_kick(q);
	while (q->outstanding) {
		struct pollfd p = {.fd = engine_event_fd(q), .events = POLLIN};

		if (!engine_reap(q, &dropped) && !engine_arm(q) && p.fd >= 0)
			poll(&p, 1, -1);
	}
	q->engine->ops->queue_close(q);
}

/* What the guest can cause. */
static int refuse(const struct engine_info *i, const struct engine_req *r)
{
	uint64_t end = load_relaxed(&i->sectors) * 512;

	if (r->op == ENGINE_FLUSH)
		return 0;
	if (i->read_only && r->op != ENGINE_READ)
		return -EROFS;
	if (r->op == ENGINE_DISCARD && !(r->flags & ENGINE_SECURE ? i->secure_discard : i->discard))
		return -EOPNOTSUPP;
	if (r->len == 0 || (r->off | r->len) & (i->sector_size - 1))
		return -EINVAL;
	if (r->len > end || r->off > end - r->len)
		return -EINVAL;
	return 0;
}

static int check_iov(const struct engine_info *i, const struct engine_req *r)
{
	uint64_t sum = 0;
	uintptr_t base = 0;
	size_t lens = 0;

	CHECK(r->iovcnt > 0 && r->iovcnt <= ENGINE_MAX_IOV);
	for (int n = 0; n < r->iovcnt; n++) {
		sum += r->iov[n].iov_len;
		lens |= r->iov[n].iov_len;
		base |= (uintptr_t)r->iov[n].iov_base;
	}
	CHECK(sum == r->len);
	return lens & (i->sector_size - 1) || base & (i->buffer_align - 1) ? -EINVAL : 0;
}

void engine_submit(struct engine_queue *q, struct engine_req *r)
{
	struct engine *e = q->engine;
	int rc;

	CHECK((unsigned)r->op < ENGINE_OP_COUNT && q->outstanding < e->depth);
	q->outstanding++;
	rc = refuse(&e->info, r);
	if (!rc && (r->op == ENGINE_READ || r->op == ENGINE_WRITE))
		rc = check_iov(&e->info, r);
	if (UNLIKELY(rc)) {
		r->result = rc;
		STAILQ_INSERT_TAIL(&q->refused, r, link);
		return;
	}
	e->ops->submit(q, r);
}

static unsigned reap_refused(struct engine_queue *q, struct engine_reqs *done)
{
	struct engine_req *r;
	unsigned n = 0;

	STAILQ_FOREACH(r, &q->refused, link)
		n++;
	STAILQ_CONCAT(done, &q->refused);
	return n;
}

unsigned engine_reap(struct engine_queue *q, struct engine_reqs *done)
{
	unsigned n;

	if (!q->outstanding)
		return 0;
	n = q->engine->ops->reap(q, done);
	if (UNLIKELY(!STAILQ_EMPTY(&q->refused)))
		n += reap_refused(q, done);
	CHECK(n <= q->outstanding);
	q->outstanding -= n;
	return n;
}

int engine_arm(struct engine_queue *q)
{
	/* Also with nothing outstanding: the event of what was reaped already has to be taken back, or nobody could sleep on it. */
	return !STAILQ_EMPTY(&q->refused) || q->engine->ops->arm(q);
}
