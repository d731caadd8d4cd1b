/* kvs.h - a fuzzer's input as the keys of a device's directory: lines "key=value". */
#ifndef BULKHEAD_TESTS_FUZZ_KVS_H
#define BULKHEAD_TESTS_FUZZ_KVS_H

#include "ring/base/check.h"
#include "xenstore-glue/bus/xs_kv.h"

#include <stdlib.h>
#include <string.h>

static inline void kvs_from_lines(struct xs_kvs *kvs, const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *save, *eq;

	CHECK(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	kvs->n = 0;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		eq = strchr(l, '=');
		if (!eq)
			continue;
		*eq = '\0';
		xs_kv_set(kvs, l, "%s", eq + 1);
	}
	free(text);
}

#endif
