/* be_guest.h - when guest memory can not be reached. */
#ifndef BULKHEAD_BACKEND_CORE_BE_GUEST_H
#define BULKHEAD_BACKEND_CORE_BE_GUEST_H

#include "ring/base/err.h"
#include "ring/base/log.h"

#include <errno.h>
#include <unistd.h>

/* Of a map or a copy of grants: what the guest has to answer for is the status of a page: -EIO. Anything else says that this process
 * reaches no guest memory any more, and would fail every request from now on: it ends, and its successor does them again. */
static inline int be_only_guests_fault(int rc)
{
	if (LIKELY(rc == 0 || rc == -EIO))
		return rc;
	log_error("guest memory can not be reached any more (%s): this stub ends, for a successor", err_str(rc));
	_exit(EXIT_TEMPORARY);
}

#endif
