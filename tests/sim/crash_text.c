#include "tests/sim/crash_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One word of the text: where its value is. */
struct word {
	const char *name;
	void *at;
	enum { U32, U64, MARK } kind;
};
#define WORDS 20

static void words(struct workload *w, struct plan *p, struct word out[WORDS])
{
	const struct word all[WORDS] = {
		{"nr", &w->nr, U32}, {"batch", &w->batch, U32}, {"exact", &w->exact, MARK}, {"persistent", &w->persistent, MARK},
		{"fickle", &w->fickle, MARK}, {"delay", &w->delay, U32}, {"linger", &w->linger, U32}, {"unit", &w->unit, U32},
		{"fail_flush", &w->fail_flush, U32}, {"bad_sector", &w->bad_sector, U32}, {"killer", &w->killer, U32},
		{"base", &w->base, U64}, {"stale", &w->stale, MARK}, {"seed", &p->seed, U64}, {"zombie", &p->zombie, U32},
		{"poller", &p->poller, MARK}, {"stall", &p->stall, MARK}, {"own", &p->own_fault, MARK}, {"gone", &p->gone, MARK},
		{"words", &p->words, MARK},
	};

	memcpy(out, all, sizeof(all));
}

static uint64_t value(const struct word *w)
{
	uint32_t u;

	if (w->kind == U64)
		return *(const uint64_t *)w->at;
	if (w->kind == MARK)
		return *(const bool *)w->at;
	memcpy(&u, w->at, sizeof(u));
	return u;
}

void crash_text(const struct workload *wl, const struct plan *plan, char out[CRASH_TEXT_MAX])
{
	struct workload w = *wl;
	struct plan p = *plan;
	struct word all[WORDS];
	int n = snprintf(out, CRASH_TEXT_MAX, "%s%s%s", wl->script[0], wl->script[1] ? "|" : "", wl->script[1] ? wl->script[1] : "");

	words(&w, &p, all);
	for (unsigned i = 0; i < WORDS; i++) {
		uint64_t v = value(&all[i]);

		if (v && all[i].kind == MARK)
			n += snprintf(out + n, (size_t)(CRASH_TEXT_MAX - n), " %s", all[i].name);
		else if (v)
			n += snprintf(out + n, (size_t)(CRASH_TEXT_MAX - n), " %s=%llu", all[i].name, (unsigned long long)v);
	}
	for (unsigned i = 0; i < p.nkills; i++)
		n += snprintf(out + n, (size_t)(CRASH_TEXT_MAX - n), "%s%u", i ? "," : " kills=", p.kill[i]);
}

static bool set(const struct word all[WORDS], const char *name, const char *text)
{
	for (unsigned i = 0; i < WORDS; i++) {
		uint64_t v = text ? strtoull(text, NULL, 10) : 1;
		uint32_t u = (uint32_t)v;

		if (strcmp(all[i].name, name) != 0 || (all[i].kind == MARK) != !text)
			continue;
		if (all[i].kind == U64)
			*(uint64_t *)all[i].at = v;
		else if (all[i].kind == MARK)
			*(bool *)all[i].at = true;
		else
			memcpy(all[i].at, &u, sizeof(u));
		return true;
	}
	return false;
}

static bool set_kills(struct plan *p, char *text)
{
	for (char *k = text; k && p->nkills < KILLS_MAX;) {
		p->kill[p->nkills++] = (unsigned)strtoul(k, &k, 10);
		k = *k == ',' ? k + 1 : NULL;
	}
	return p->nkills > 0;
}

/* Where the scripts end: at the first word that begins with a small letter. */
static char *scripts_end(char *text)
{
	for (char *s = text; *s; s++)
		if (*s >= 'a' && *s <= 'z')
			return s;
	return text + strlen(text);
}

bool crash_parse(char *text, struct workload *wl, struct plan *plan)
{
	char *rest = scripts_end(text), *bar, *w, *save = NULL;
	struct word all[WORDS];

	*wl = (struct workload){.name = "replay", .script = {text}};
	*plan = (struct plan){0};
	if (rest == text)
		return false;
	words(wl, plan, all);
	for (w = strtok_r(rest, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *v = strchr(w, '=');

		if (v)
			*v++ = '\0';
		if (v && strcmp(w, "kills") == 0 ? !set_kills(plan, v) : !set(all, w, v))
			return false;
	}
	*rest = '\0';
	rest[-1] = '\0';
	bar = strchr(text, '|');
	if (bar) {
		*bar = '\0';
		wl->script[1] = bar + 1;
	}
	return wl->nr > 0;
}
