#include "ring/base/err.h"

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
