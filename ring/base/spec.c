#include "ring/base/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Copies src up to an unescaped comma into dst; *end is the comma or the NUL. */
static int copy_arg(char *dst, size_t size, const char *src, const char **end)
{
	size_t n = 0;

	for (; *src && *src != ','; src++) {
		if (src[0] == '\\' && src[1] == ',')
			src++;
		if (n + 1 >= size)
			return -ENAMETOOLONG;
		dst[n++] = *src;
	}
	dst[n] = '\0';
	*end = src;
	return 0;
}

int spec_parse(const char *text, struct spec *out)
{
	const char *colon = strchr(text, ':'), *comma = strchr(text, ','), *arg = text, *end;
	int rc;

	memset(out, 0, sizeof(*out));
	if (text[0] == '/') {
		strcpy(out->engine, "file");
	} else {
		if (!colon || colon == text || (comma && comma < colon))
			return -EINVAL;
		if ((size_t)(colon - text) >= sizeof(out->engine))
			return -ENAMETOOLONG;
		memcpy(out->engine, text, (size_t)(colon - text));
		arg = colon + 1;
	}
	rc = copy_arg(out->arg, sizeof(out->arg), arg, &end);
	if (rc || *end == '\0')
		return rc;
	if (strlen(end + 1) >= sizeof(out->opts))
		return -ENAMETOOLONG;
	strcpy(out->opts, end + 1);
	return 0;
}

int spec_parse_short(const char *text, struct spec *out)
{
	size_t name = strcspn(text, ":,"), len = strlen(text);
	char full[SPEC_MAX + 1];

	if (text[name] == ':' || text[0] == '/')
		return spec_parse(text, out);
	if (len >= SPEC_MAX)
		return -ENAMETOOLONG;
	memcpy(full, text, name);
	full[name] = ':';
	strcpy(full + name + 1, text + name);
	return spec_parse(full, out);
}

int spec_format(const struct spec *s, char *text, size_t size)
{
	size_t n = strlen(s->engine);

	if (n + 2 > size)
		return -ENAMETOOLONG;
	memcpy(text, s->engine, n);
	text[n++] = ':';
	for (const char *a = s->arg; *a; a++) {
		if (n + 3 > size)
			return -ENAMETOOLONG;
		if (*a == ',')
			text[n++] = '\\';
		text[n++] = *a;
	}
	if (s->opts[0]) {
		if (n + strlen(s->opts) + 2 > size)
			return -ENAMETOOLONG;
		text[n++] = ',';
		strcpy(text + n, s->opts);
		n += strlen(s->opts);
	}
	text[n] = '\0';
	return 0;
}

/* Finds key in opts: start and length of the whole "key[=value]". */
static const char *find(const struct spec *s, const char *key, size_t *len)
{
	size_t klen = strlen(key);

	for (const char *p = s->opts; *p;) {
		size_t n = strcspn(p, ",");

		if (n >= klen && strncmp(p, key, klen) == 0 && (n == klen || p[klen] == '=')) {
			*len = n;
			return p;
		}
		p += n + (p[n] == ',');
	}
	return NULL;
}

bool spec_opt(const struct spec *s, const char *key, char *value, size_t size)
{
	size_t n, klen = strlen(key);
	const char *p = find(s, key, &n);

	if (!p)
		return false;
	if (n == klen) {
		p = "1";
		n = 1;
	} else {
		p += klen + 1;
		n -= klen + 1;
	}
	if (n >= size)
		return false;
	memcpy(value, p, n);
	value[n] = '\0';
	return true;
}

bool spec_take(struct spec *s, const char *key, char *value, size_t size)
{
	size_t n, at, len = strlen(s->opts);
	const char *p;

	if (!spec_opt(s, key, value, size))
		return false;
	p = find(s, key, &n);
	at = (size_t)(p - s->opts);
	if (at + n < len)
		n++; /* its comma behind */
	else if (at > 0) {
		at--; /* the last: its comma in front */
		n++;
	}
	memmove(s->opts + at, s->opts + at + n, len - at - n + 1);
	return true;
}

bool spec_unknown(const struct spec *s, const char *const *known, char *key, size_t size)
{
	for (const char *p = s->opts; *p;) {
		size_t n = strcspn(p, ","), klen = strcspn(p, "=,");
		const char *const *k = known;

		while (*k && (strlen(*k) != klen || strncmp(*k, p, klen) != 0))
			k++;
		if (!*k && klen) {
			klen = MIN(klen, size - 1);
			memcpy(key, p, klen);
			key[klen] = '\0';
			return true;
		}
		p += n + (p[n] == ',');
	}
	return false;
}

int spec_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	char *end;
	unsigned long long v;
	unsigned shift = 0;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		const char *u = strchr(units, *end & ~0x20);

		if (!u || end[1])
			return -EINVAL;
		shift = 10u * (unsigned)(u - units + 1);
	}
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = (uint64_t)v << shift;
	return 0;
}
