/* Lists of keys, and what may stand in them. */
#include "xenstore-glue/bus/xs_kv.h"

#include "ring/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct xs_kv *find(struct xs_kvs *kvs, const char *key)
{
	for (unsigned i = 0; i < kvs->n; i++)
		if (strcmp(kvs->kv[i].key, key) == 0)
			return &kvs->kv[i];
	return NULL;
}

const char *xs_kv_get(const struct xs_kvs *kvs, const char *key)
{
	for (unsigned i = 0; i < kvs->n; i++)
		if (strcmp(kvs->kv[i].key, key) == 0)
			return kvs->kv[i].val;
	return NULL;
}

int xs_kv_set(struct xs_kvs *kvs, const char *key, const char *fmt, ...)
{
	struct xs_kv *kv = find(kvs, key);
	va_list ap;
	int n;

	if (!kv && (kvs->n == XS_KV_MAX || strlen(key) >= sizeof(kv->key)))
		return -ENOSPC;
	if (!kv) {
		kv = &kvs->kv[kvs->n];
		strcpy(kv->key, key);
	}
	va_start(ap, fmt);
	n = vsnprintf(kv->val, sizeof(kv->val), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(kv->val))
		return -ENOSPC;
	if (kv == &kvs->kv[kvs->n])
		kvs->n++;
	return 0;
}

void xs_kv_queue_key(char *key, size_t size, const char *name, unsigned nqueues, unsigned queue)
{
	if (nqueues > 1)
		snprintf(key, size, "queue-%u/%s", queue, name);
	else
		snprintf(key, size, "%s", name);
}

bool xs_kv_script(const char *script, const char *name)
{
	const char *slash = script ? strrchr(script, '/') : NULL;

	return script && strcmp(slash ? slash + 1 : script, name) == 0;
}

bool xs_kv_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (*text == '\0')
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v) || v > max)
			return false;
	}
	*out = v;
	return true;
}

/* ---- reading ---- */

uint64_t xs_kv_in_u64(struct xs_kv_in *in, const char *key, uint64_t absent, uint64_t max)
{
	const char *val = xs_kv_get(in->kvs, key);
	uint64_t v = absent;

	if (val && !xs_kv_number(val, max, &v) && in->rc == 0)
		in->rc = err_say(in->err, in->size, in->bad, "%s%s is \"%.40s\", not a number up to %llu", in->who, key, val,
				 (unsigned long long)max);
	return v;
}

uint32_t xs_kv_in_u32(struct xs_kv_in *in, const char *key, uint32_t absent)
{
	return (uint32_t)xs_kv_in_u64(in, key, absent, UINT32_MAX);
}

bool xs_kv_in_bool(struct xs_kv_in *in, const char *key, bool absent) { return xs_kv_in_u32(in, key, absent) != 0; }

int xs_kv_in_text(struct xs_kv_in *in, const char *key, char *out, size_t size)
{
	const char *val = xs_kv_get(in->kvs, key);

	out[0] = '\0';
	if (val && strlen(val) >= size && in->rc == 0)
		in->rc = err_say(in->err, in->size, in->bad, "%s%s is longer than %zu bytes", in->who, key, size - 1);
	else if (val && strlen(val) < size)
		strcpy(out, val);
	return val ? 0 : -ENOENT;
}

int xs_kv_in_needed(struct xs_kv_in *in, const char *key, uint32_t *v)
{
	if (in->rc == 0 && !xs_kv_get(in->kvs, key))
		in->rc = err_say(in->err, in->size, in->bad, "%s%s is missing", in->who, key);
	*v = xs_kv_in_u32(in, key, 0);
	return in->rc;
}

int xs_kv_in_port(struct xs_kv_in *in, const char *key, uint32_t *port)
{
	if (xs_kv_in_needed(in, key, port) == 0 && *port == 0)
		in->rc = err_say(in->err, in->size, in->bad, "%s%s is 0, which is no port", in->who, key);
	return in->rc;
}

/* ---- writing ---- */

void xs_kv_out_text(struct xs_kv_out *o, const char *key, const char *val)
{
	if (o->rc == 0)
		o->rc = xs_kv_set(o->kvs, key, "%s", val);
}

void xs_kv_out_u64(struct xs_kv_out *o, const char *key, uint64_t v)
{
	if (o->rc == 0)
		o->rc = xs_kv_set(o->kvs, key, "%llu", (unsigned long long)v);
}
