#include "xenstore-glue/wire/xs_path.h"

#include "ring/base/check.h"

#include <errno.h>
#include <string.h>

#define DOMAIN_DIR "/local/domain/"

static bool allowed(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '/' ||
	       c == '_' || c == '@';
}

/* Length of "/local/domain/N/" at the start of path, 0 if it is elsewhere. */
static size_t domain_prefix(const char *path)
{
	size_t n = sizeof(DOMAIN_DIR) - 1, digits = 0;

	if (strncmp(path, DOMAIN_DIR, n) != 0)
		return 0;
	while (digits < 5 && path[n + digits] >= '0' && path[n + digits] <= '9')
		digits++;
	n += digits;
	return digits && path[n] == '/' ? n + 1 : 0;
}

bool xs_path_valid(const char *path)
{
	size_t len = 0;

	if (path[0] != '/')
		return false;
	for (; path[len]; len++)
		if (len == XENSTORE_ABS_PATH_MAX || !allowed(path[len]) || (path[len] == '/' && path[len + 1] == '/'))
			return false;
	if (len > 1 && path[len - 1] == '/')
		return false;
	return len - domain_prefix(path) <= XENSTORE_REL_PATH_MAX;
}

int xs_path_absolute(char out[XS_PATH_SIZE], uint16_t domid, const char *path)
{
	size_t len = strnlen(path, XS_PATH_SIZE), at = 0;

	if (path[0] != '/') {
		if (len == 0 || xs_path_is_special(path) || len > XENSTORE_REL_PATH_MAX)
			return -EINVAL;
		xs_path_domain(out, domid);
		at = strlen(out);
		out[at++] = '/';
	}
	if (len >= XS_PATH_SIZE - at)
		return -EINVAL;
	memcpy(out + at, path, len + 1);
	return xs_path_valid(out) ? 0 : -EINVAL;
}

size_t xs_path_parent_len(const char *path, size_t len)
{
	if (len <= 1)
		return 0;
	while (path[--len] != '/')
		continue;
	return len ? len : 1;
}

const char *xs_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool xs_path_covers(const char *parent, const char *child) { return xs_path_below(parent, child) != NULL; }

const char *xs_path_below(const char *base, const char *path)
{
	size_t len = strlen(base);

	if (strncmp(base, path, len) != 0)
		return NULL;
	if (path[len] == '\0')
		return path + len;
	if (len == 1 && base[0] == '/')
		return path + 1;
	return path[len] == '/' ? path + len + 1 : NULL;
}

int xs_path_join(char out[XS_PATH_SIZE], const char *path, const char *name)
{
	size_t a = strlen(path), b = strlen(name);

	if (a == 1 && path[0] == '/')
		a = 0;
	if (a + 1 + b >= XS_PATH_SIZE)
		return -ENAMETOOLONG;
	if (out != path)
		memcpy(out, path, a);
	out[a] = '/';
	memcpy(out + a + 1, name, b + 1);
	return 0;
}

/* ---- the well-known places ---- */

static char *put_text(char *at, const char *s)
{
	size_t n = strlen(s);

	CHECK(n < 256);
	memcpy(at, s, n + 1);
	return at + n;
}

static char *put_number(char *at, uint32_t v)
{
	char text[11];
	size_t i = sizeof(text);

	text[--i] = '\0';
	do {
		text[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return put_text(at, text + i);
}

void xs_path_domain(char out[XS_PATH_SIZE], uint16_t domid) { put_number(put_text(out, DOMAIN_DIR), domid); }

void xs_path_backend(char out[XS_PATH_SIZE], uint16_t be, const char *class_name, uint16_t fe, uint32_t devid)
{
	char *at = put_number(put_text(out, DOMAIN_DIR), be);

	at = put_text(put_text(put_text(at, "/backend/"), class_name), "/");
	at = put_text(put_number(at, fe), "/");
	put_number(at, devid);
}

void xs_path_frontend(char out[XS_PATH_SIZE], uint16_t fe, const char *class_name, uint32_t devid)
{
	char *at = put_number(put_text(out, DOMAIN_DIR), fe);

	at = put_text(put_text(put_text(at, "/device/"), class_name), "/");
	put_number(at, devid);
}
