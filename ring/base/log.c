#include "ring/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PER_SECOND 10u

static const char *prog = "bulkhead";
static enum log_level max_level = LOG_LVL_INFO;
static log_sink_fn *sink;

void log_init(const char *name, enum log_level max)
{
	prog = name;
	max_level = max;
}

void log_set_sink(log_sink_fn *s) { sink = s; }

int log_level_parse(const char *text)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

static void emit(enum log_level lvl, const char *fmt, va_list ap)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	char text[1024], line[1200];
	int n;

	vsnprintf(text, sizeof(text), fmt, ap);
	if (sink) {
		sink(lvl, text);
		return;
	}
	n = snprintf(line, sizeof(line), "%s[%d]: %s: %s\n", prog, (int)getpid(), names[lvl], text);
	if (n > (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 1;
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody is listening; there is nowhere else to say so */
}

void log_msg(enum log_level lvl, const char *fmt, ...)
{
	va_list ap;

	if (lvl > max_level)
		return;
	va_start(ap, fmt);
	emit(lvl, fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *l, enum log_level lvl, const char *fmt, ...)
{
	struct timespec now;
	va_list ap;

	if (lvl > max_level)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (l->second != (uint64_t)now.tv_sec) {
		if (l->held)
			log_msg(lvl, "(%u more like the last)", l->held);
		l->second = (uint64_t)now.tv_sec;
		l->shown = l->held = 0;
	}
	if (l->shown == PER_SECOND) {
		l->held++;
		return;
	}
	l->shown++;
	va_start(ap, fmt);
	emit(lvl, fmt, ap);
	va_end(ap);
}
