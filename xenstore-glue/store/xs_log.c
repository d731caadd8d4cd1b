#include "xenstore-glue/store/xs_log.h"

#include "ring/base/check.h"
#include "xenstore-glue/store/xs_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_NAME XS_LOG_NAME ".new"
#define CHUNK (256u << 10)	 /* of a snapshot, one record */
#define GROWTH_MIN (1024u << 10) /* a log smaller than this is left alone */

static const char magic[16] = "bulkhead-store1";

struct xs_log {
	struct xs_recorder rec; /* first */
	struct xs_store *st;
	int dirfd, fd;
	uint64_t size, serial;
	uint64_t tidy_at;
};

/* What a client is told: the protocol has few words. */
static int write_error(int err) { return err == ENOSPC || err == EDQUOT || err == EFBIG ? -ENOSPC : -EIO; }

static int write_all(int fd, const char *p, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return write_error(n < 0 ? errno : EIO);
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Serial numbers are spent only by records that were written, so a successor finds them without a gap. */
static int append(struct xs_recorder *r, const void *rec, size_t len)
{
	struct xs_log *log = (struct xs_log *)r;
	int rc;

	xs_rec_seal((void *)(uintptr_t)rec, len, log->serial + 1);
	rc = write_all(log->fd, rec, len, log->size);
	if (rc < 0) {
		/* If this fails as well, the next record covers the torn one, and a reader stops at it anyway. */
		if (ftruncate(log->fd, (off_t)log->size) < 0)
			return rc;
		return rc;
	}
	log->serial++;
	log->size += len;
	return 0;
}

/* ---- snapshots ---- */

struct writer {
	int fd;
	uint64_t size, serial, gen;
	struct xs_recbuf b;
	int rc;
};

static void flush(struct writer *w)
{
	int rc = xs_rec_end(&w->b, w->gen);

	if (rc > 0 && w->rc == 0) {
		xs_rec_seal(w->b.p, w->b.len, w->serial + 1);
		rc = write_all(w->fd, w->b.p, w->b.len, w->size);
		if (rc == 0) {
			w->serial++;
			w->size += w->b.len;
		}
	}
	if (rc < 0 && w->rc == 0)
		w->rc = rc;
	xs_rec_free(&w->b);
	xs_rec_begin(&w->b);
}

static void write_store(struct writer *w, const struct xs_store *st)
{
	for (size_t i = 0; i < ARRAY_LEN(st->dom); i++)
		if (st->dom[i])
			xs_rec_dom(&w->b, st->dom[i]);
	for (struct xs_slot *s = xs_table_next(&st->nodes, NULL); s; s = xs_table_next(&st->nodes, s)) {
		xs_rec_node(&w->b, s->path, s->len, CONTAINER_OF(s, struct xs_entry, slot)->node);
		if (w->b.len >= CHUNK)
			flush(w);
	}
	flush(w);
}

/* Writes the store beside the log and puts it in the log's place. The old log is good until the rename. */
static int compact(struct xs_log *log)
{
	struct writer w = {.gen = log->st->gen, .size = sizeof(magic)};

	w.fd = openat(log->dirfd, NEW_NAME, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (w.fd < 0)
		return write_error(errno);
	xs_rec_begin(&w.b);
	w.rc = write_all(w.fd, magic, sizeof(magic), 0);
	if (w.rc == 0)
		write_store(&w, log->st);
	xs_rec_free(&w.b);
	if (w.rc == 0 && renameat(log->dirfd, NEW_NAME, log->dirfd, XS_LOG_NAME) < 0)
		w.rc = write_error(errno);
	if (w.rc < 0) {
		close(w.fd);
		unlinkat(log->dirfd, NEW_NAME, 0);
		return w.rc;
	}
	if (log->fd >= 0)
		close(log->fd);
	log->fd = w.fd;
	log->size = w.size;
	log->serial = w.serial;
	return 0;
}

static uint64_t next_tidy(uint64_t size) { return MAX(4 * size, (uint64_t)GROWTH_MIN); }

int xs_log_tidy(struct xs_log *log)
{
	int rc;

	if (log->size < log->tidy_at)
		return 0;
	rc = compact(log);
	log->tidy_at = rc == 0 ? next_tidy(log->size) : log->size + GROWTH_MIN;
	return rc == 0 ? 1 : rc;
}

uint64_t xs_log_size(const struct xs_log *log) { return log->size; }

/* ---- coming back ---- */

static int read_file(int fd, char **out, size_t *len)
{
	struct stat sb;
	size_t at = 0;
	char *p;

	if (fstat(fd, &sb) < 0)
		return -errno;
	p = malloc((size_t)sb.st_size + 1);
	if (!p)
		return -ENOMEM;
	while (at < (size_t)sb.st_size) {
		ssize_t n = pread(fd, p + at, (size_t)sb.st_size - at, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(p);
			return -errno;
		}
		if (n == 0)
			break;
		at += (size_t)n;
	}
	*out = p;
	*len = at;
	return 0;
}

static int load(struct xs_log *log, uint64_t *dropped)
{
	size_t len = 0, at = sizeof(magic), n;
	char *p = NULL;
	int rc = read_file(log->fd, &p, &len);

	if (rc < 0)
		return rc;
	if (len < sizeof(magic) || memcmp(p, magic, sizeof(magic)) != 0) {
		free(p);
		return -EBADMSG;
	}
	xs_store_clear(log->st);
	while (rc == 0 && (n = xs_rec_check(p + at, len - at, log->serial + 1)) > 0) {
		rc = xs_rec_apply(log->st, p + at, n);
		log->serial++;
		at += n;
	}
	log->size = at;
	*dropped = len - at;
	free(p);
	if (rc == 0 && (!xs_store_get(log->st, "/", 1) || xs_store_check(log->st, NULL, 0) != 0))
		rc = -EBADMSG;
	return rc;
}

int xs_log_open(struct xs_log **out, int dirfd, struct xs_store *st, uint64_t *dropped)
{
	struct xs_log *log = calloc(1, sizeof(*log));
	bool fresh;
	int rc = 0;

	*out = NULL;
	*dropped = 0;
	if (!log)
		return -ENOMEM;
	log->rec.append = append;
	log->st = st;
	log->dirfd = dirfd;
	log->fd = openat(dirfd, XS_LOG_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	fresh = log->fd < 0;
	if (fresh && errno != ENOENT)
		rc = -errno;
	else if (!fresh)
		rc = load(log, dropped);
	/* A full disk is no reason not to come back: the old log goes on behind its last whole record. */
	if (rc == 0 && compact(log) < 0 && (fresh || ftruncate(log->fd, (off_t)log->size) < 0))
		rc = -EIO;
	if (rc < 0) {
		xs_log_close(log);
		return rc;
	}
	log->tidy_at = next_tidy(log->size);
	st->recorder = &log->rec;
	*out = log;
	return 0;
}

void xs_log_close(struct xs_log *log)
{
	if (!log)
		return;
	if (log->st->recorder == &log->rec)
		log->st->recorder = NULL;
	if (log->fd >= 0)
		close(log->fd);
	free(log);
}
