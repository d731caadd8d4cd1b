/* Bytes of a client: the framing must bound them, paths and permissions must judge them, and what passes must have the
 * promised form. */
#include "ring/base/check.h"
#include "xenstore-glue/wire/xs_path.h"
#include "xenstore-glue/wire/xs_perm.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_path(const char *text)
{
	char abs[XS_PATH_SIZE], joined[XS_PATH_SIZE];
	size_t len;

	if (xs_path_absolute(abs, 7, text) < 0)
		return;
	len = strlen(abs);
	CHECK(xs_path_valid(abs) && len <= XENSTORE_ABS_PATH_MAX);
	CHECK(xs_path_covers("/", abs) && xs_path_covers(abs, abs));
	if (len > 1) {
		char parent[XS_PATH_SIZE];
		size_t plen = xs_path_parent_len(abs, len);

		memcpy(parent, abs, plen);
		parent[plen] = '\0';
		CHECK(plen > 0 && plen < len && xs_path_valid(parent) && xs_path_covers(parent, abs));
		CHECK(xs_path_join(joined, parent, xs_path_base(abs)) == 0 && strcmp(joined, abs) == 0);
	}
}

static void look_at_message(const struct xs_reader *r)
{
	const char *vec[8], *path, *token;
	size_t n = xs_strings(r->data, r->hdr.len, vec, ARRAY_LEN(vec));
	struct xs_perm p;
	char text[XS_PERM_TEXT];
	uint32_t v;

	CHECK(r->hdr.len <= XENSTORE_PAYLOAD_MAX && r->data[r->hdr.len] == '\0');
	CHECK(n <= r->hdr.len);
	for (size_t i = 0; i < MIN(n, ARRAY_LEN(vec)); i++) {
		look_at_path(vec[i]);
		if (xs_perm_parse(vec[i], &p) == 0) {
			xs_perm_format(&p, text);
			CHECK(strlen(text) < sizeof(text));
		}
		if (xs_parse_u32(vec[i], 1000, &v))
			CHECK(v <= 1000);
	}
	if (xs_event_split(r->data, r->hdr.len, &path, &token) == 0)
		CHECK(strlen(path) + strlen(token) + 2 <= r->hdr.len);
	CHECK(xs_error_parse(r->data, r->hdr.len) < 0);
	CHECK(xs_type_name(r->hdr.type) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct xs_reader r;
	size_t used, step = size ? 1 + data[0] % 64u : 1;

	xs_reader_init(&r);
	for (size_t at = 0; at < size;) {
		int rc = xs_reader_feed(&r, data + at, MIN(step, size - at), &used);

		if (rc < 0)
			return 0;
		CHECK(used > 0 || rc == 1);
		at += used;
		if (rc == 1)
			look_at_message(&r);
	}
	return 0;
}
