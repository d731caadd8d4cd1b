/* xs_kv.h - the keys of a device's directory as a list, and reading and writing values in it.
 *
 * Pure. Values read are foreign: every number is bounded, and what is wrong with the first that is wrong becomes a line.
 */
#ifndef BULKHEAD_XENSTORE_GLUE_BUS_XS_KV_H
#define BULKHEAD_XENSTORE_GLUE_BUS_XS_KV_H

#include "ring/base/spec.h"

#include <stdbool.h>

struct xs_kv {
	char key[48];	  /* relative to the device's directory; "queue-3/ring-ref0" */
	char val[SPEC_MAX];
};
#define XS_KV_MAX 320 /* enough for a vbd of 16 queues of 16 pages */
struct xs_kvs {
	unsigned n;
	struct xs_kv kv[XS_KV_MAX];
};
/* NULL if absent. */
const char *xs_kv_get(const struct xs_kvs *kvs, const char *key);
/* Replaces or appends; -ENOSPC. */
int xs_kv_set(struct xs_kvs *kvs, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* "queue-3/NAME", or NAME where a device has one queue only. */
void xs_kv_queue_key(char *key, size_t size, const char *name, unsigned nqueues, unsigned queue);
/* The path of a script, which may be NULL, ends in /NAME or is NAME. */
bool xs_kv_script(const char *script, const char *name);
/* Digits only, at most max. */
bool xs_kv_number(const char *text, uint64_t max, uint64_t *out);

/* Keys being read: the first wrong value sets rc to bad and err to a line, which who begins: "frontend: ", or "" where it is clear whose
 * they are. */
struct xs_kv_in {
	const struct xs_kvs *kvs;
	const char *who;
	int bad;
	char *err;
	size_t size;
	int rc;
};
/* absent: the value of a key that is not there. */
uint64_t xs_kv_in_u64(struct xs_kv_in *in, const char *key, uint64_t absent, uint64_t max);
uint32_t xs_kv_in_u32(struct xs_kv_in *in, const char *key, uint32_t absent);
bool xs_kv_in_bool(struct xs_kv_in *in, const char *key, bool absent); /* any number but 0 */
/* Copies the text, "" if absent or too long. 0 or -ENOENT: absent. */
int xs_kv_in_text(struct xs_kv_in *in, const char *key, char *out, size_t size);
/* One that must be there: 0, or in->rc. */
int xs_kv_in_needed(struct xs_kv_in *in, const char *key, uint32_t *v);
/* A needed event channel: not 0. */
int xs_kv_in_port(struct xs_kv_in *in, const char *key, uint32_t *port);

/* Keys being written: the first error stays. */
struct xs_kv_out {
	struct xs_kvs *kvs;
	int rc;
};
void xs_kv_out_text(struct xs_kv_out *o, const char *key, const char *val);
void xs_kv_out_u64(struct xs_kv_out *o, const char *key, uint64_t v);

#endif
