/* ring/base/spec.h: the text that names a disk's storage. */
#include "ring/base/spec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void reads(const char *text, const char *engine, const char *arg, const char *opts)
{
	struct spec s, again;
	char back[2 * SPEC_MAX];

	assert_int_equal(spec_parse(text, &s), 0);
	assert_string_equal(s.engine, engine);
	assert_string_equal(s.arg, arg);
	assert_string_equal(s.opts, opts);
	assert_int_equal(spec_format(&s, back, sizeof(back)), 0);
	assert_int_equal(spec_parse(back, &again), 0);
	assert_memory_equal(&s, &again, sizeof(s));
}

static void good_texts(void **state)
{
	(void)state;
	reads("/srv/a.img", "file", "/srv/a.img", "");
	reads("/srv/a.img,aio=threads", "file", "/srv/a.img", "aio=threads");
	reads("mem:64M", "mem", "64M", "");
	reads("null:1G,delay=3,x", "null", "1G", "delay=3,x");
	reads("file:/a\\,b.img,aio=uring", "file", "/a,b.img", "aio=uring");
	reads("/with:colon", "file", "/with:colon", "");
	reads("file:", "file", "", "");
}

static void a_name_alone(void **state)
{
	struct spec s;

	(void)state;
	assert_int_equal(spec_parse_short("tap", &s), 0);
	assert_true(strcmp(s.engine, "tap") == 0 && !s.arg[0] && !s.opts[0]);
	assert_int_equal(spec_parse_short("tap,loss=1,x", &s), 0);
	assert_true(strcmp(s.engine, "tap") == 0 && !s.arg[0] && strcmp(s.opts, "loss=1,x") == 0);
	assert_int_equal(spec_parse_short("pair:a", &s), 0);
	assert_true(strcmp(s.engine, "pair") == 0 && strcmp(s.arg, "a") == 0);
	assert_int_equal(spec_parse_short("", &s), -EINVAL);
	assert_int_equal(spec_parse_short(",loss=1", &s), -EINVAL);
	assert_int_equal(spec_parse_short("averyveryverylongname", &s), -ENAMETOOLONG);
}

static void bad_texts(void **state)
{
	char text[3 * SPEC_MAX];
	struct spec s;

	(void)state;
	assert_int_equal(spec_parse("", &s), -EINVAL);
	assert_int_equal(spec_parse("relative.img", &s), -EINVAL);
	assert_int_equal(spec_parse(":64M", &s), -EINVAL);
	assert_int_equal(spec_parse("a,b:c", &s), -EINVAL);
	assert_int_equal(spec_parse("averyveryverylongengine:1", &s), -ENAMETOOLONG);
	memset(text, 'a', sizeof(text));
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(spec_parse(text, &s), -ENAMETOOLONG);
	memcpy(text, "/a,", 3);
	assert_int_equal(spec_parse(text, &s), -ENAMETOOLONG);
}

static void options(void **state)
{
	static const char *const known[] = {"aio", "poll-us", NULL};
	struct spec s;
	char v[16], small[3];

	(void)state;
	assert_int_equal(spec_parse("/a,aio=threads,flag,poll-us=20", &s), 0);
	assert_true(spec_opt(&s, "aio", v, sizeof(v)));
	assert_string_equal(v, "threads");
	assert_true(spec_opt(&s, "flag", v, sizeof(v)));
	assert_string_equal(v, "1");
	assert_false(spec_opt(&s, "poll", v, sizeof(v)));
	assert_false(spec_opt(&s, "aio", small, sizeof(small)));
	assert_true(spec_unknown(&s, known, v, sizeof(v)));
	assert_string_equal(v, "flag");
	assert_true(spec_take(&s, "flag", v, sizeof(v)));
	assert_string_equal(s.opts, "aio=threads,poll-us=20");
	assert_false(spec_unknown(&s, known, v, sizeof(v)));
	assert_true(spec_take(&s, "poll-us", v, sizeof(v)));
	assert_string_equal(s.opts, "aio=threads");
	assert_true(spec_take(&s, "aio", v, sizeof(v)));
	assert_string_equal(s.opts, "");
	assert_false(spec_take(&s, "aio", v, sizeof(v)));
}

static void sizes(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(spec_size("512", &n), 0);
	assert_int_equal(n, 512);
	assert_int_equal(spec_size("64m", &n), 0);
	assert_int_equal(n, 64u << 20);
	assert_int_equal(spec_size("3T", &n), 0);
	assert_true(n == 3ull << 40);
	assert_int_equal(spec_size("", &n), -EINVAL);
	assert_int_equal(spec_size("-1", &n), -EINVAL);
	assert_int_equal(spec_size("1MB", &n), -EINVAL);
	assert_int_equal(spec_size("1X", &n), -EINVAL);
	assert_int_equal(spec_size("18446744073709551616", &n), -ERANGE);
	assert_int_equal(spec_size("18000000000G", &n), -ERANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good_texts), cmocka_unit_test(a_name_alone), cmocka_unit_test(bad_texts),
					   cmocka_unit_test(options), cmocka_unit_test(sizes)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
