#include "ring/base/net_spec.h"

#include "ring/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELAY_MAX_MS 60000ul

static const char *const kinds[] = {"tap", "pair", "null"};
static const char *const chances[NET_CHANCES] = {"loss", "duplicate", "reorder"};
static const char *const none[] = {NULL};

/* 1: it was there; 0: not. */
static int take_chance(struct spec *s, const char *name, uint32_t *chance, char *err, size_t size)
{
	char value[32], *end;
	double percent;

	if (!spec_take(s, name, value, sizeof(value)))
		return 0;
	percent = strtod(value, &end);
	if (end == value || (*end && strcmp(end, "%") != 0) || !(percent >= 0 && percent <= 100))
		return err_say(err, size, -EINVAL, "%s=%s: of a hundred packets is meant, such as 0.5", name, value);
	*chance = (uint32_t)(percent * (NET_MILLION / 100) + 0.5);
	return 1;
}

static int take_number(struct spec *s, const char *name, const char *unit, unsigned long max, uint32_t *number, char *err, size_t size)
{
	char value[32], *end;
	unsigned long n;

	if (!spec_take(s, name, value, sizeof(value)))
		return 0;
	n = strtoul(value, &end, 10);
	if (end == value || (*end && strcmp(end, unit) != 0) || value[0] == '-' || n > max)
		return err_say(err, size, -EINVAL, "%s=%s: a number up to %lu is meant", name, value, max);
	*number = (uint32_t)n;
	return 1;
}

int net_filter_take(struct spec *s, struct net_filter *f, char *err, size_t size)
{
	int found = 0, rc = 0;

	*f = (struct net_filter){.seed = 1};
	for (unsigned i = 0; i < NET_CHANCES && rc >= 0; i++) {
		rc = take_chance(s, chances[i], &f->chance[i], err, size);
		found += rc;
	}
	if (rc >= 0) {
		rc = take_number(s, "delay", "ms", DELAY_MAX_MS, &f->delay_ms, err, size);
		found += rc;
	}
	if (rc >= 0) {
		rc = take_number(s, "seed", "", UINT32_MAX, &f->seed, err, size);
		found += rc;
	}
	return rc < 0 ? rc : found;
}

int net_filter_parse(const char *text, struct net_filter *f, char *err, size_t size)
{
	struct spec s = {0};
	char key[64];
	int rc;

	if (strlen(text) >= sizeof(s.opts))
		return err_say(err, size, -EINVAL, "the filter's options are too long");
	strcpy(s.opts, text);
	rc = net_filter_take(&s, f, err, size);
	if (rc < 0)
		return rc;
	if (spec_unknown(&s, none, key, sizeof(key)))
		return err_say(err, size, -EINVAL, "\"%s\" is no option of a filter: loss, duplicate, reorder, delay and seed are", key);
	return rc;
}

void net_filter_format(const struct net_filter *f, char text[NET_FILTER_TEXT])
{
	size_t n = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < NET_CHANCES; i++)
		if (f->chance[i])
			n += (size_t)snprintf(text + n, NET_FILTER_TEXT - n, "%s%s=%.9g", n ? "," : "", chances[i], f->chance[i] / (NET_MILLION / 100.0));
	if (f->delay_ms)
		n += (size_t)snprintf(text + n, NET_FILTER_TEXT - n, "%sdelay=%u", n ? "," : "", f->delay_ms);
	if (f->seed != 1)
		snprintf(text + n, NET_FILTER_TEXT - n, "%sseed=%u", n ? "," : "", f->seed);
}

int net_spec_check(const struct spec *s, char *err, size_t size)
{
	struct spec rest = *s;
	struct net_filter f;
	char key[64];
	size_t i = 0;
	int rc;

	while (i < ARRAY_LEN(kinds) && strcmp(kinds[i], s->engine) != 0)
		i++;
	if (i == ARRAY_LEN(kinds))
		return err_say(err, size, -EINVAL, "there is no netport \"%s\": tap, pair:NAME or null is meant", s->engine);
	rc = net_filter_take(&rest, &f, err, size);
	if (rc < 0)
		return rc;
	if (spec_unknown(&rest, none, key, sizeof(key)))
		return err_say(err, size, -EINVAL, "\"%s\" is no option of the netport %s", key, s->engine);
	return 0;
}
