#include "ring/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *err_str(int rc)
{
	int e = rc < 0 ? -rc : rc;

	switch (e) {
	case EPEER:
		return "the peer broke the protocol";
	case EMISMATCH:
		return "journal belongs to another connection";
	default: {
		const char *s = strerrordesc_np(e);
		return s ? s : "unknown error";
	}
	}
}

int err_say(char *err, size_t size, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (size)
		vsnprintf(err, size, fmt, ap);
	va_end(ap);
	return rc;
}
