#include "xenstore-glue/wire/xs_wire.h"

#include "ring/base/check.h"
#include "ring/base/err.h"

#include <string.h>

#define HDR_SIZE ((uint32_t)sizeof(struct xsd_sockmsg))

void xs_reader_init(struct xs_reader *r)
{
	r->got = 0;
	memset(&r->hdr, 0, sizeof(r->hdr));
	r->data[0] = '\0';
}

static bool whole(const struct xs_reader *r) { return r->got >= HDR_SIZE && r->got == HDR_SIZE + r->hdr.len; }

bool xs_reader_midway(const struct xs_reader *r) { return r->got != 0 && !whole(r); }

/* Bytes that belong to the part of the message that starts at `from` and ends at `end`. */
static size_t take(struct xs_reader *r, void *dst, uint32_t from, uint32_t end, const char *buf, size_t len)
{
	size_t n = MIN((size_t)(end - r->got), len);

	if (n)
		memcpy((char *)dst + (r->got - from), buf, n);
	r->got += (uint32_t)n;
	return n;
}

int xs_reader_feed(struct xs_reader *r, const void *buf, size_t len, size_t *used)
{
	const char *p = buf;
	size_t n = 0;

	*used = 0;
	if (whole(r))
		xs_reader_init(r);
	if (r->got < HDR_SIZE)
		n = take(r, &r->hdr, 0, HDR_SIZE, p, len);
	*used = n;
	if (r->got < HDR_SIZE)
		return 0;
	if (r->hdr.len > XENSTORE_PAYLOAD_MAX)
		return -EPEER;
	n += take(r, r->data, HDR_SIZE, HDR_SIZE + r->hdr.len, p + n, len - n);
	*used = n;
	if (!whole(r))
		return 0;
	r->data[r->hdr.len] = '\0';
	return 1;
}

void xs_body_init(struct xs_body *b)
{
	b->len = 0;
	b->over = false;
}

void xs_body_bytes(struct xs_body *b, const void *p, size_t len)
{
	if (b->over || len > XENSTORE_PAYLOAD_MAX - b->len) {
		b->over = true;
		return;
	}
	if (len)
		memcpy(b->data + b->len, p, len);
	b->len += (uint32_t)len;
}

void xs_body_string(struct xs_body *b, const char *s) { xs_body_bytes(b, s, strlen(s) + 1); }

void xs_body_u32(struct xs_body *b, uint32_t v)
{
	char text[11];
	size_t at = sizeof(text);

	text[--at] = '\0';
	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	xs_body_string(b, text + at);
}

size_t xs_frame(void *out, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *data, uint32_t len)
{
	struct xsd_sockmsg hdr = {.type = type, .req_id = req_id, .tx_id = tx_id, .len = len};

	CHECK(len <= XENSTORE_PAYLOAD_MAX);
	memcpy(out, &hdr, sizeof(hdr));
	if (len)
		memcpy((char *)out + sizeof(hdr), data, len);
	return sizeof(hdr) + len;
}

size_t xs_strings(const char *data, uint32_t len, const char **vec, size_t max)
{
	const char *end = data + len, *nul;
	size_t n = 0;

	while (data < end && (nul = memchr(data, '\0', (size_t)(end - data))) != NULL) {
		if (n < max)
			vec[n] = data;
		n++;
		data = nul + 1;
	}
	return n;
}

const char *xs_one_string(const char *data, uint32_t len)
{
	if (len == 0 || memchr(data, '\0', len) != data + len - 1)
		return NULL;
	return data;
}

bool xs_parse_u32(const char *s, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > max)
			return false;
	}
	*out = (uint32_t)v;
	return true;
}

int xs_event_split(const char *data, uint32_t len, const char **path, const char **token)
{
	const char *vec[2] = {NULL, NULL};

	if (len == 0 || data[len - 1] != '\0' || xs_strings(data, len, vec, 2) < 2)
		return -EPEER;
	*path = vec[XS_WATCH_PATH];
	*token = vec[XS_WATCH_TOKEN];
	return 0;
}

const char *xs_error_name(int rc)
{
	for (size_t i = 0; i < ARRAY_LEN(xsd_errors); i++)
		if (xsd_errors[i].errnum == -rc)
			return xsd_errors[i].errstring;
	return "EINVAL";
}

int xs_error_parse(const char *data, uint32_t len)
{
	const char *name = xs_one_string(data, len);

	if (name)
		for (size_t i = 0; i < ARRAY_LEN(xsd_errors); i++)
			if (strcmp(name, xsd_errors[i].errstring) == 0)
				return -xsd_errors[i].errnum;
	return -EPEER;
}

const char *xs_type_name(uint32_t type)
{
	static const char *const names[XS_TYPE_COUNT] = {
		[XS_CONTROL] = "control",
		[XS_DIRECTORY] = "directory",
		[XS_READ] = "read",
		[XS_GET_PERMS] = "get-perms",
		[XS_WATCH] = "watch",
		[XS_UNWATCH] = "unwatch",
		[XS_TRANSACTION_START] = "transaction-start",
		[XS_TRANSACTION_END] = "transaction-end",
		[XS_INTRODUCE] = "introduce",
		[XS_RELEASE] = "release",
		[XS_GET_DOMAIN_PATH] = "get-domain-path",
		[XS_WRITE] = "write",
		[XS_MKDIR] = "mkdir",
		[XS_RM] = "rm",
		[XS_SET_PERMS] = "set-perms",
		[XS_WATCH_EVENT] = "watch-event",
		[XS_ERROR] = "error",
		[XS_IS_DOMAIN_INTRODUCED] = "is-domain-introduced",
		[XS_RESUME] = "resume",
		[XS_SET_TARGET] = "set-target",
		[XS_RESET_WATCHES] = "reset-watches",
		[XS_DIRECTORY_PART] = "directory-part",
	};

	return type < XS_TYPE_COUNT && names[type] ? names[type] : "?";
}
