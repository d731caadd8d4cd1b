/* input.h - a fuzzer's input as a stream of numbers and bytes; it gives zeroes when it is at its end. */
#ifndef BULKHEAD_TESTS_FUZZ_INPUT_H
#define BULKHEAD_TESTS_FUZZ_INPUT_H

#include "ring/base/base.h"
#include "ring/base/check.h"
#include "ring/base/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a hostile peer is blamed for is not worth a line here. */
__attribute__((constructor)) static void quiet(void) { log_init("fuzz", LOG_LVL_ERROR); }

struct input {
	const uint8_t *at;
	size_t left;
};

/* The next n bytes into p; how many there were. */
static inline size_t take_bytes(struct input *in, void *p, size_t n)
{
	size_t have = MIN(n, in->left);

	if (have)
		memcpy(p, in->at, have);
	memset((char *)p + have, 0, n - have);
	in->at += have;
	in->left -= have;
	return have;
}

/* The next n bytes as a number. */
static inline uint64_t take(struct input *in, size_t n)
{
	uint64_t v = 0;

	take_bytes(in, &v, n);
	return v;
}

/* n words of a list, each with its NUL, but for the last one if open; how many bytes that are. */
static inline size_t take_words(struct input *in, char *p, const char *const *words, size_t nwords, unsigned n, bool open)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		const char *word = words[take(in, 1) % nwords];

		strcpy(p + len, word);
		len += strlen(word) + !(open && i + 1 == n);
	}
	return len;
}

/* Memory of exactly n bytes, so that a look behind its end shows. */
static inline void *exact(size_t n)
{
	void *p = malloc(n ? n : 1);

	CHECK(p);
	return p;
}

#endif
