/* xs_path.h - xenstore paths: what is valid, relative and absolute form, their parts, and the well-known places.
 *
 * Pure: no system calls, no allocation. Threads: any.
 * Trust: paths come from peers; only xs_path_absolute() and xs_path_valid() take unchecked ones, all others a path that
 * passed them (an absolute one, without a trailing '/' unless it is "/").
 */
#ifndef BULKHEAD_XENSTORE_GLUE_WIRE_XS_PATH_H
#define BULKHEAD_XENSTORE_GLUE_WIRE_XS_PATH_H

#include "ring/base/base.h"

#include <stdbool.h>
#include <xen/io/xs_wire.h>

/* Room for any absolute path with its NUL. */
#define XS_PATH_SIZE (XENSTORE_ABS_PATH_MAX + 1)

#define XS_INTRODUCE_DOMAIN "@introduceDomain"
#define XS_RELEASE_DOMAIN "@releaseDomain"

/* Absolute, no "//", no trailing '/' (but "/"), only letters, digits and "-/_@", at most XENSTORE_ABS_PATH_MAX bytes, and at
 * most XENSTORE_REL_PATH_MAX of them behind "/local/domain/N/", or in all if it is elsewhere: xenstored's own limit. */
bool xs_path_valid(const char *path);
/* Absolute form of what a connection of domain domid sent: a relative path is below /local/domain/domid. The result is
 * valid. 0 or -EINVAL, also for what begins with '@', which is no node. */
int xs_path_absolute(char out[XS_PATH_SIZE], uint16_t domid, const char *path);

static inline bool xs_path_is_special(const char *path) { return path[0] == '@'; }
/* Length of the parent's path ("/a/b": 2, "/a": 1, which is "/"). "/" itself: 0. */
size_t xs_path_parent_len(const char *path, size_t len);
/* The last part: "b" of "/a/b". "" of "/". */
const char *xs_path_base(const char *path);
/* child is parent or below it. */
bool xs_path_covers(const char *parent, const char *child);
/* The part of path behind base and its '/': "b/c" for ("/a", "/a/b/c"), "" for the same. NULL if path is not below base. */
const char *xs_path_below(const char *base, const char *path);
/* path + "/" + name. 0 or -ENAMETOOLONG. out may be path. */
int xs_path_join(char out[XS_PATH_SIZE], const char *path, const char *name);

/* /local/domain/D; .../backend/CLASS/FE/DEV of domain be; .../device/CLASS/DEV of domain fe. class is "vbd" or "vif". */
void xs_path_domain(char out[XS_PATH_SIZE], uint16_t domid);
void xs_path_backend(char out[XS_PATH_SIZE], uint16_t be, const char *class_name, uint16_t fe, uint32_t devid);
void xs_path_frontend(char out[XS_PATH_SIZE], uint16_t fe, const char *class_name, uint32_t devid);

#endif
