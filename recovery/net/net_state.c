#include "recovery/net/net_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".vif"
#define SHARED "shared.vifs"

/* A file of lines, as it is in the file and in memory. */
struct lines {
	char name[80]; /* in the folder */
	char *line[NET_LINES_MAX];
	unsigned n;
};

struct net_state {
	int dir, lock;
	struct lines own, shared;
};

static void drop_lines(struct lines *l)
{
	while (l->n)
		free(l->line[--l->n]);
}

static int keep_line(struct lines *l, const char *text, size_t len)
{
	if (l->n == NET_LINES_MAX || len >= NET_LINE_MAX)
		return -EBADMSG;
	l->line[l->n] = strndup(text, len);
	return l->line[l->n++] ? 0 : -ENOMEM;
}

/* What has no end of line was cut off by a death, and nothing was done for it. The next line must not be glued to it. */
static int parse(struct lines *l, int fd, const char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const char *end = memchr(text + at, '\n', len - at);
		int rc;

		if (!end)
			return ftruncate(fd, (off_t)at) ? -errno : 0;
		rc = keep_line(l, text + at, (size_t)(end - (text + at)));
		if (rc)
			return rc;
		at = (size_t)(end - text) + 1;
	}
	return 0;
}

static int read_lines(int dir, struct lines *l)
{
	int fd = openat(dir, l->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW), rc;
	struct stat st;
	char *text;

	if (fd < 0)
		return -errno;
	text = fstat(fd, &st) || st.st_size > NET_LINES_MAX * NET_LINE_MAX ? NULL : malloc((size_t)st.st_size + 1);
	if (!text)
		rc = -EBADMSG;
	else if (pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
		rc = -EIO;
	else
		rc = parse(l, fd, text, (size_t)st.st_size);
	free(text);
	close(fd);
	return rc;
}

static int open_dir(const char *path, struct net_state *s)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return -errno;
	s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0 || flock(s->lock, LOCK_EX))
		return -errno;
	return 0;
}

static int read_shared(struct net_state *s)
{
	int rc = read_lines(s->dir, &s->shared);

	return rc == -ENOENT ? 0 : rc;
}

int net_state_open(const char *dir, const char *dev, bool create, struct net_state **out)
{
	struct net_state *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->dir = s->lock = -1;
	snprintf(s->own.name, sizeof(s->own.name), "%s" SUFFIX, dev);
	strcpy(s->shared.name, SHARED);
	rc = open_dir(dir, s);
	if (!rc)
		rc = read_lines(s->dir, &s->own);
	if (rc == -ENOENT && create)
		rc = 0;
	if (!rc)
		rc = read_shared(s);
	if (rc) {
		net_state_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void net_state_close(struct net_state *s)
{
	if (!s)
		return;
	drop_lines(&s->own);
	drop_lines(&s->shared);
	if (s->lock >= 0)
		close(s->lock);
	if (s->dir >= 0)
		close(s->dir);
	free(s);
}

/* The line's value if key is its key. */
static const char *match(const char *line, const char *key)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) != 0 || (line[len] && line[len] != '='))
		return NULL;
	return line[len] ? line + len + 1 : line + len;
}

static const char *get(const struct lines *l, const char *key)
{
	const char *value = NULL;

	for (unsigned i = 0; i < l->n && !value; i++)
		value = match(l->line[i], key);
	return value;
}

/* One write, so that a line is there or not. */
static int add(int dir, struct lines *l, const char *text)
{
	char line[NET_LINE_MAX + 1];
	size_t len = strlen(text);
	int fd, rc;

	if (len >= NET_LINE_MAX || strchr(text, '\n') || l->n == NET_LINES_MAX)
		return -ENOSPC;
	memcpy(line, text, len);
	line[len] = '\n';
	fd = openat(dir, l->name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	rc = write(fd, line, len + 1) == (ssize_t)len + 1 ? 0 : -EIO;
	close(fd);
	return rc ? rc : keep_line(l, text, len);
}

/* The file becomes what is in memory, in one step. */
static int rewrite(int dir, const struct lines *l)
{
	char temp[96];
	FILE *f;
	int fd;

	if (!l->n)
		return unlinkat(dir, l->name, 0) && errno != ENOENT ? -errno : 0;
	snprintf(temp, sizeof(temp), "%s.new", l->name);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f)
		return -errno;
	for (unsigned i = 0; i < l->n; i++)
		fprintf(f, "%s\n", l->line[i]);
	if (fclose(f) || renameat(dir, temp, dir, l->name))
		return -errno;
	return 0;
}

const char *net_state_get(const struct net_state *s, const char *key) { return get(&s->own, key); }
const char *net_shared_get(const struct net_state *s, const char *key) { return get(&s->shared, key); }

static int add_pair(int dir, struct lines *l, const char *key, const char *value)
{
	char line[NET_LINE_MAX];

	if (get(l, key))
		return 0;
	if (snprintf(line, sizeof(line), "%s%s%s", key, value[0] ? "=" : "", value) >= (int)sizeof(line))
		return -ENOSPC;
	return add(dir, l, line);
}

int net_state_add(struct net_state *s, const char *key, const char *value) { return add_pair(s->dir, &s->own, key, value); }
int net_shared_add(struct net_state *s, const char *key, const char *value) { return add_pair(s->dir, &s->shared, key, value); }

static void forget(struct lines *l, unsigned i)
{
	free(l->line[i]);
	memmove(&l->line[i], &l->line[i + 1], (l->n - i - 1) * sizeof(l->line[0]));
	l->n--;
}

int net_shared_forget(struct net_state *s, const char *key)
{
	for (unsigned i = 0; i < s->shared.n; i++)
		if (match(s->shared.line[i], key)) {
			forget(&s->shared, i);
			return rewrite(s->dir, &s->shared);
		}
	return 0;
}

int net_state_undo(struct net_state *s, int (*undo)(void *arg, const char *key, const char *value), void *arg)
{
	int first = 0, rc;

	for (unsigned i = s->own.n; i-- > 0;) {
		char key[NET_LINE_MAX];
		size_t len = strcspn(s->own.line[i], "=");
		const char *value = s->own.line[i] + len;

		memcpy(key, s->own.line[i], len);
		key[len] = '\0';
		rc = undo(arg, key, *value ? value + 1 : value);
		if (rc == 0)
			forget(&s->own, i);
		else if (!first)
			first = rc;
	}
	rc = rewrite(s->dir, &s->own);
	return first ? first : rc;
}

static bool is_vif(const char *name, char *dev, size_t size)
{
	size_t len = strlen(name), suffix = strlen(SUFFIX);

	if (len <= suffix || len - suffix >= size || strcmp(name + len - suffix, SUFFIX) != 0)
		return false;
	memcpy(dev, name, len - suffix);
	dev[len - suffix] = '\0';
	return true;
}

bool net_state_others(const struct net_state *s, const char *key)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool found = !d; /* unknown: whatever is shared stays */
	struct dirent *e;
	char dev[64];

	while (d && !found && (e = readdir(d))) {
		struct lines l = {0};

		if (strcmp(e->d_name, s->own.name) == 0 || !is_vif(e->d_name, dev, sizeof(dev)))
			continue;
		snprintf(l.name, sizeof(l.name), "%s" SUFFIX, dev);
		found = read_lines(s->dir, &l) ? true : get(&l, key) != NULL;
		drop_lines(&l);
	}
	if (d)
		closedir(d);
	return found;
}

int net_state_list(const char *dir, void (*each)(void *arg, const char *dev), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char dev[64];

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d)))
		if (is_vif(e->d_name, dev, sizeof(dev)))
			each(arg, dev);
	closedir(d);
	return 0;
}
