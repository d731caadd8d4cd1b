/* The text that names a disk's storage, as a toolstack might have written it: what is taken survives being written and read
 * again, and its options are found and taken out exactly. */
#include "ring/base/spec.h"
#include "tests/fuzz/input.h"

static void check_same(const struct spec *a)
{
	char text[2 * SPEC_MAX + 64];
	struct spec b;

	CHECK(strlen(a->engine) < sizeof(a->engine) && a->engine[0]);
	CHECK(strlen(a->arg) < sizeof(a->arg) && strlen(a->opts) < sizeof(a->opts));
	CHECK(spec_format(a, text, sizeof(text)) == 0);
	CHECK(spec_parse(text, &b) == 0);
	CHECK(!strcmp(a->engine, b.engine) && !strcmp(a->arg, b.arg) && !strcmp(a->opts, b.opts));
}

/* One buffer after the other, until the text fits: nothing is written behind any of them. */
static void check_short_buffers(const struct spec *s)
{
	for (size_t n = 0; n < sizeof(*s); n = n * 2 + 1) {
		char *text = exact(n);
		int rc = spec_format(s, text, n);

		CHECK(rc == 0 ? strlen(text) < n : rc == -36 /* ENAMETOOLONG */);
		free(text);
	}
}

static void take_all_options(struct spec s)
{
	static const char *const known[] = {"ro", "sync", "size", NULL};
	char value[SPEC_MAX], again[SPEC_MAX], key[16], tiny[2];

	for (size_t i = 0; known[i]; i++) {
		size_t before = strlen(s.opts);

		if (!spec_opt(&s, known[i], value, sizeof(value)))
			continue;
		if (spec_opt(&s, known[i], tiny, sizeof(tiny)))
			CHECK(strlen(value) < sizeof(tiny));
		CHECK(spec_take(&s, known[i], again, sizeof(again)) && !strcmp(value, again));
		CHECK(strlen(s.opts) < before);
	}
	if (spec_unknown(&s, known, key, sizeof(key)))
		CHECK(key[0] && strlen(key) < sizeof(key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	char *text = exact(size + 1);
	uint64_t bytes;
	struct spec s;

	take_bytes(&in, text, size);
	text[size] = '\0';
	if (spec_parse(text, &s) == 0) {
		check_same(&s);
		check_short_buffers(&s);
		take_all_options(s);
	}
	spec_size(text, &bytes);
	free(text);
	return 0;
}
