/* Framing, paths and permissions of xenstore. */
#include "ring/base/err.h"
#include "xenstore-glue/wire/xs_path.h"
#include "xenstore-glue/wire/xs_perm.h"
#include "xenstore-glue/wire/xs_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void frame_comes_back_in_any_pieces(void **state)
{
	char wire[3 * XS_FRAME_MAX];
	struct xs_reader r;
	size_t len = 0, used;

	(void)state;
	len += xs_frame(wire + len, XS_WRITE, 1, 2, "a\0value", 7);
	len += xs_frame(wire + len, XS_READ, 3, 0, NULL, 0);
	len += xs_frame(wire + len, XS_RM, 4, 0, "b", 2);
	for (size_t piece = 1; piece <= len; piece++) {
		unsigned seen = 0;

		xs_reader_init(&r);
		for (size_t at = 0; at < len;) {
			size_t end = at + (piece < len - at ? piece : len - at);

			while (at < end) {
				int rc = xs_reader_feed(&r, wire + at, end - at, &used);

				assert_true(rc >= 0);
				assert_true(used > 0);
				at += used;
				if (rc == 1)
					seen = seen * 10 + r.hdr.req_id;
			}
		}
		assert_int_equal(seen, 134);
		assert_false(xs_reader_midway(&r));
	}
}

static void payload_is_terminated(void **state)
{
	char wire[XS_FRAME_MAX];
	struct xs_reader r;
	size_t used, len = xs_frame(wire, XS_READ, 9, 8, "abc", 3);

	(void)state;
	xs_reader_init(&r);
	memset(r.data, 'x', sizeof(r.data));
	assert_int_equal(xs_reader_feed(&r, wire, len, &used), 1);
	assert_string_equal(r.data, "abc");
	assert_int_equal(r.hdr.tx_id, 8);
}

/* XSA-420: a length that looks negative. */
static void bad_length_is_a_peer_error(void **state)
{
	static const uint32_t bad[] = {4097, 0x7fffffff, 0x80000000, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct xsd_sockmsg h = {.type = XS_READ, .len = bad[i]};
		struct xs_reader r;
		size_t used;

		xs_reader_init(&r);
		assert_int_equal(xs_reader_feed(&r, &h, sizeof(h), &used), -EPEER);
	}
}

static void largest_payload_passes(void **state)
{
	static char wire[XS_FRAME_MAX], data[XENSTORE_PAYLOAD_MAX];
	static struct xs_reader r;
	size_t used, len = xs_frame(wire, XS_WRITE, 1, 0, data, sizeof(data));

	(void)state;
	xs_reader_init(&r);
	assert_int_equal(xs_reader_feed(&r, wire, len - 1, &used), 0);
	assert_true(xs_reader_midway(&r));
	assert_int_equal(xs_reader_feed(&r, wire + len - 1, 1, &used), 1);
	assert_int_equal(r.hdr.len, XENSTORE_PAYLOAD_MAX);
}

static void body_says_when_it_overflows(void **state)
{
	static char big[XENSTORE_PAYLOAD_MAX];
	static struct xs_body b;

	(void)state;
	xs_body_init(&b);
	xs_body_u32(&b, 0);
	xs_body_u32(&b, 4294967295u);
	assert_memory_equal(b.data, "0\0004294967295", 13);
	assert_int_equal(b.len, 13);
	xs_body_bytes(&b, big, sizeof(big) - 13);
	assert_false(b.over);
	xs_body_bytes(&b, "", 1);
	assert_true(b.over);
	assert_int_equal(b.len, XENSTORE_PAYLOAD_MAX);
}

static void strings_are_split(void **state)
{
	const char *v[2] = {NULL, NULL}, *path, *token;

	(void)state;
	assert_int_equal(xs_strings("a\0bc\0\0d", 7, v, 2), 3);
	assert_string_equal(v[1], "bc");
	assert_int_equal(xs_strings("", 0, v, 2), 0);
	assert_null(xs_one_string("", 0));
	assert_null(xs_one_string("abc", 3));
	assert_null(xs_one_string("a\0b", 4));
	assert_string_equal(xs_one_string("abc", 4), "abc");
	assert_int_equal(xs_event_split("p\0t", 4, &path, &token), 0);
	assert_string_equal(token, "t");
	assert_int_equal(xs_event_split("p", 2, &path, &token), -EPEER);
	assert_int_equal(xs_event_split("", 0, &path, &token), -EPEER);
}

static void numbers_and_errors(void **state)
{
	uint32_t v = 7;

	(void)state;
	assert_true(xs_parse_u32("65535", 65535, &v));
	assert_int_equal(v, 65535);
	assert_false(xs_parse_u32("65536", 65535, &v));
	assert_false(xs_parse_u32("99999999999999999999999", UINT32_MAX, &v));
	assert_false(xs_parse_u32("", 9, &v));
	assert_false(xs_parse_u32("-1", 9, &v));
	assert_false(xs_parse_u32("1 ", 9, &v));
	assert_string_equal(xs_error_name(-EAGAIN), "EAGAIN");
	assert_string_equal(xs_error_name(-EPEER), "EINVAL");
	assert_int_equal(xs_error_parse("E2BIG", 6), -E2BIG);
	assert_int_equal(xs_error_parse("ENOIDEA", 8), -EPEER);
	assert_int_equal(xs_error_parse("EIO", 3), -EPEER);
	assert_string_equal(xs_type_name(XS_RESET_WATCHES), "reset-watches");
	assert_string_equal(xs_type_name(20), "?");
	assert_string_equal(xs_type_name(0xffff), "?");
}

/* XSA-323, XSA-481 and the rules of docs/misc/xenstore.txt. */
static void paths_good_and_bad(void **state)
{
	static const char *const good[] = {"/", "/a", "/a-b/_@/0", "/local/domain/0", "/local/domain"};
	static const char *const bad[] = {"",	 "//",	   "a",	      "/a/",	   "/a//b", "/local/domain/",
					  "/ ",	 "/a.b",   "/\xff",   "/a\nb",	   "@x",    "/local/domain//x"};
	char out[XS_PATH_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(xs_path_valid(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(xs_path_valid(bad[i]));
	assert_int_equal(xs_path_absolute(out, 7, "device/vbd"), 0);
	assert_string_equal(out, "/local/domain/7/device/vbd");
	assert_int_equal(xs_path_absolute(out, 7, "/x"), 0);
	assert_string_equal(out, "/x");
	assert_int_equal(xs_path_absolute(out, 7, ""), -EINVAL);
	assert_int_equal(xs_path_absolute(out, 7, "x/"), -EINVAL);
	assert_int_equal(xs_path_absolute(out, 7, "@releaseDomain"), -EINVAL); /* no node, as xenstored has it */
}

static void path_lengths_at_the_limits(void **state)
{
	char in[XENSTORE_ABS_PATH_MAX + 100], out[XS_PATH_SIZE];

	(void)state;
	for (size_t len = XENSTORE_REL_PATH_MAX - 1; len <= XENSTORE_REL_PATH_MAX + 1; len++) {
		memset(in, 'a', len);
		in[len] = '\0';
		assert_int_equal(xs_path_absolute(out, 65535, in), len <= XENSTORE_REL_PATH_MAX ? 0 : -EINVAL);
		/* The absolute form has the same limit: no way around it. */
		memcpy(in, "/local/domain/5/", 16);
		memset(in + 16, 'a', len);
		in[16 + len] = '\0';
		assert_int_equal(xs_path_absolute(out, 0, in), len <= XENSTORE_REL_PATH_MAX ? 0 : -EINVAL);
	}
	for (size_t len = XENSTORE_REL_PATH_MAX - 1; len <= XENSTORE_REL_PATH_MAX + 1; len++) {
		memset(in, 'a', len);
		in[0] = '/';
		in[len] = '\0';
		assert_int_equal(xs_path_absolute(out, 0, in), len <= XENSTORE_REL_PATH_MAX ? 0 : -EINVAL);
	}
}

static void path_parts(void **state)
{
	char out[XS_PATH_SIZE];

	(void)state;
	assert_int_equal(xs_path_parent_len("/a/b", 4), 2);
	assert_int_equal(xs_path_parent_len("/a", 2), 1);
	assert_int_equal(xs_path_parent_len("/", 1), 0);
	assert_string_equal(xs_path_base("/a/b"), "b");
	assert_string_equal(xs_path_base("/"), "");
	assert_true(xs_path_covers("/", "/a"));
	assert_true(xs_path_covers("/a", "/a"));
	assert_true(xs_path_covers("/a", "/a/b"));
	assert_false(xs_path_covers("/a", "/ab"));
	assert_false(xs_path_covers("/a/b", "/a"));
	assert_string_equal(xs_path_below("/a", "/a/b/c"), "b/c");
	assert_string_equal(xs_path_below("/a", "/a"), "");
	assert_null(xs_path_below("/a", "/b"));
	assert_int_equal(xs_path_join(out, "/", "a"), 0);
	assert_string_equal(out, "/a");
	assert_int_equal(xs_path_join(out, out, "b"), 0);
	assert_string_equal(out, "/a/b");
	xs_path_backend(out, 0, "vbd", 3, 51712);
	assert_string_equal(out, "/local/domain/0/backend/vbd/3/51712");
	xs_path_frontend(out, 3, "vbd", 51712);
	assert_string_equal(out, "/local/domain/3/device/vbd/51712");
}

static void permissions(void **state)
{
	struct xs_perm p, list[3];
	struct xs_cred dom0 = {0, XS_DOMID_NONE}, five = {5, XS_DOMID_NONE}, six = {6, XS_DOMID_NONE}, stub = {9, 5};
	char text[XS_PERM_TEXT];

	(void)state;
	assert_int_equal(xs_perm_parse("b32751", &p), 0);
	assert_int_equal(p.may, XS_MAY_READ | XS_MAY_WRITE);
	xs_perm_format(&p, text);
	assert_string_equal(text, "b32751");
	assert_int_equal(xs_perm_parse("r32752", &p), -EINVAL);
	assert_int_equal(xs_perm_parse("x1", &p), -EINVAL);
	assert_int_equal(xs_perm_parse("r", &p), -EINVAL);
	assert_int_equal(xs_perm_parse("", &p), -EINVAL);
	assert_int_equal(xs_perm_parse("n0", &list[0]), 0);
	assert_int_equal(xs_perm_parse("r5", &list[1]), 0);
	assert_int_equal(xs_perm_parse("w6", &list[2]), 0);
	assert_int_equal(xs_perm_may(&dom0, list, 3), XS_MAY_READ | XS_MAY_WRITE | XS_MAY_OWN);
	assert_int_equal(xs_perm_may(&five, list, 3), XS_MAY_READ);
	assert_int_equal(xs_perm_may(&six, list, 3), XS_MAY_WRITE);
	assert_int_equal(xs_perm_may(&six, list, 2), 0);
	assert_int_equal(xs_perm_may(&stub, list, 3), XS_MAY_READ);
	list[1].ignored = 1;
	assert_int_equal(xs_perm_may(&five, list, 3), 0);
	list[0].domid = 5;
	assert_int_equal(xs_perm_may(&five, list, 3), XS_MAY_READ | XS_MAY_WRITE | XS_MAY_OWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_comes_back_in_any_pieces),
		cmocka_unit_test(payload_is_terminated),
		cmocka_unit_test(bad_length_is_a_peer_error),
		cmocka_unit_test(largest_payload_passes),
		cmocka_unit_test(body_says_when_it_overflows),
		cmocka_unit_test(strings_are_split),
		cmocka_unit_test(numbers_and_errors),
		cmocka_unit_test(paths_good_and_bad),
		cmocka_unit_test(path_lengths_at_the_limits),
		cmocka_unit_test(path_parts),
		cmocka_unit_test(permissions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
