/* be_boot.h - the life of a stub's process: start record, opening, narrowing, serving, end (DESIGN.md sections 3, 8, 12).
 *
 * Threads: main's, which becomes the control thread; one for each queue.
 * Each function returns the process's exit status (err.h, stub_wire.h); nothing needs to be given back after it, and
 * the process should end by _exit(): threads may still be at work, which its end stops at any instant, safely.
 */
#ifndef BULKHEAD_BACKEND_CORE_BE_BOOT_H
#define BULKHEAD_BACKEND_CORE_BE_BOOT_H

#include "backend/core/be_class.h"

/* Serves the devices of the record at STUB_FD_RECORD until drained, broken or killed; blank: of the one that it waits for on its
 * control socket. classes: ends with NULL. */
int be_boot_serve(const char *name, bool blank, const struct be_class *const *classes);
/* Looks at the storage of the record's one device and writes struct stub_probe to STUB_FD_CTL. */
int be_boot_probe(const char *name, const struct be_class *class);

#endif
