#include "xenstore-glue/store/xs_table.h"

#include "ring/base/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 16u

void xs_table_init(struct xs_table *t, uint64_t seed) { *t = (struct xs_table){.seed = seed}; }

void xs_table_free(struct xs_table *t)
{
	free(t->bucket);
	t->bucket = NULL;
	t->nbucket = t->count = 0;
}

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ (h >> 32);
}

static uint64_t hash_of(const struct xs_table *t, const char *path, size_t len)
{
	uint64_t h = mix(t->seed ^ len), word;

	for (; len >= sizeof(word); path += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, path, sizeof(word));
		h = mix(h ^ word) + t->seed;
	}
	word = 0;
	memcpy(&word, path, len);
	return mix(h ^ word);
}

int xs_table_reserve(struct xs_table *t, size_t extra)
{
	size_t n = t->nbucket ? t->nbucket : SMALLEST;
	struct xs_slot **bucket, *s, *next;

	while (n < t->count + extra)
		n *= 2;
	if (n == t->nbucket)
		return 0;
	bucket = calloc(n, sizeof(struct xs_slot *));
	if (!bucket)
		return -ENOMEM;
	for (size_t i = 0; i < t->nbucket; i++) {
		for (s = t->bucket[i]; s; s = next) {
			next = s->next;
			s->next = bucket[s->hash & (n - 1)];
			bucket[s->hash & (n - 1)] = s;
		}
	}
	free(t->bucket);
	t->bucket = bucket;
	t->nbucket = n;
	return 0;
}

struct xs_slot *xs_table_find(const struct xs_table *t, const char *path, size_t len)
{
	uint64_t h;

	if (t->count == 0)
		return NULL;
	h = hash_of(t, path, len);
	for (struct xs_slot *s = t->bucket[h & (t->nbucket - 1)]; s; s = s->next)
		if (s->hash == h && s->len == len && memcmp(s->path, path, len) == 0)
			return s;
	return NULL;
}

void xs_table_insert(struct xs_table *t, struct xs_slot *s, const char *path, size_t len)
{
	struct xs_slot **at;

	CHECK(t->nbucket > 0);
	s->path = path;
	s->len = len;
	s->hash = hash_of(t, path, len);
	at = &t->bucket[s->hash & (t->nbucket - 1)];
	s->next = *at;
	*at = s;
	t->count++;
}

void xs_table_remove(struct xs_table *t, struct xs_slot *s)
{
	struct xs_slot **at = &t->bucket[s->hash & (t->nbucket - 1)];

	while (*at != s) {
		CHECK(*at != NULL);
		at = &(*at)->next;
	}
	*at = s->next;
	t->count--;
}

struct xs_slot *xs_table_next(const struct xs_table *t, const struct xs_slot *s)
{
	size_t i = 0;

	if (s && s->next)
		return s->next;
	if (s)
		i = (s->hash & (t->nbucket - 1)) + 1;
	for (; i < t->nbucket; i++)
		if (t->bucket[i])
			return t->bucket[i];
	return NULL;
}
