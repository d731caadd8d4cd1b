#include "ring/base/check.h"
#include "ring/base/log.h"

#include <stdlib.h>

void check_failed(const char *file, int line, const char *what)
{
	log_error("bug: %s:%d: %s", file, line, what);
	abort();
}
