#include "recovery/cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const verdicts[DOCTOR_VERDICTS] = {"ok", "missing", "cannot tell"};

const char *doctor_verdict_name(enum doctor_verdict v) { return verdicts[v]; }

struct doctor_point *doctor_say(struct doctor *d, const char *name, enum doctor_verdict v, bool needed, const char *fmt, ...)
{
	struct doctor_point *p = &d->point[d->n < DOCTOR_POINTS_MAX - 1 ? d->n++ : d->n];
	va_list ap;

	*p = (struct doctor_point){.name = name, .verdict = v, .needed = needed};
	va_start(ap, fmt);
	vsnprintf(p->text, sizeof(p->text), fmt, ap);
	va_end(ap);
	return p;
}

const char *doctor_read(const struct doctor *d, const char *path, char *text, size_t size)
{
	char full[300];
	FILE *f;

	text[0] = '\0';
	snprintf(full, sizeof(full), "%s%s", d->root, path);
	f = fopen(full, "re");
	if (f && !fgets(text, (int)size, f))
		text[0] = '\0';
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

bool doctor_has(const struct doctor *d, const char *path)
{
	char full[300];

	snprintf(full, sizeof(full), "%s%s", d->root, path);
	return access(full, F_OK) == 0;
}

bool doctor_fine(const struct doctor *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->point[i].verdict == DOCTOR_MISSING && d->point[i].needed)
			return false;
	return true;
}
