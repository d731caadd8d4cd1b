/* spec.h - the text that names a disk's storage, or a vif's netport: "PATH" or "ENGINE:ARG", then ",key=value"... (xenstore's `params`).
 *
 * Shared by bulkhead(1), the supervisor and the engines, so that all read it alike. Pure.
 * A path that holds a comma is written with "\," for each; a bare path must start with '/'.
 */
#ifndef BULKHEAD_RING_BASE_SPEC_H
#define BULKHEAD_RING_BASE_SPEC_H

#include "ring/base/base.h"

#include <stdbool.h>

#define SPEC_MAX 1024

struct spec {
	char engine[16];     /* "file" when the text is a bare path */
	char arg[SPEC_MAX];  /* path, size, ...; unescaped */
	char opts[SPEC_MAX]; /* "key=value,key=value" or "" */
};

/* 0, -EINVAL (no engine name, relative bare path, empty), -ENAMETOOLONG. */
int spec_parse(const char *text, struct spec *out);
/* The same of a netport: an engine without an argument may stand without its colon, as in "tap,loss=1". */
int spec_parse_short(const char *text, struct spec *out);
/* Writes the text back. 0 or -ENAMETOOLONG. */
int spec_format(const struct spec *s, char *text, size_t size);
/* Value of key in opts, copied into value; false if absent or too long. A key without "=" has the value "1". */
bool spec_opt(const struct spec *s, const char *key, char *value, size_t size);
/* Removes key from opts: for a layer that takes its own options out before handing the rest on. False if absent. */
bool spec_take(struct spec *s, const char *key, char *value, size_t size);
/* The first key in opts that is not in the NULL-terminated list known, copied into key; false if there is none. */
bool spec_unknown(const struct spec *s, const char *const *known, char *key, size_t size);
/* "512", "64K", "1M", "2G", "1T" (powers of 1024). 0, -EINVAL, -ERANGE. */
int spec_size(const char *text, uint64_t *bytes);

#endif
