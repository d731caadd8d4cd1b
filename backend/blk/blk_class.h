/* blk_class.h - block devices as one kind of device of a stub (backend/core/be_class.h). */
#ifndef BULKHEAD_BACKEND_BLK_BLK_CLASS_H
#define BULKHEAD_BACKEND_BLK_BLK_CLASS_H

#include "backend/core/be_class.h"

extern const struct be_class blk_class;

/* What a probe says of the storage named by spec, opened by its path: for people. 0, or -errno with a line in err. */
int blk_probe_spec(const char *spec, struct stub_probe *out, char *err, size_t size);

#endif
