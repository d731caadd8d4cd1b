/* verify.h - data whose every 8 bytes say where and when they were written. */
#ifndef BULKHEAD_TESTS_BLKIF_VERIFY_H
#define BULKHEAD_TESTS_BLKIF_VERIFY_H

#include "tests/blkif/suite.h"

/* bytes (a multiple of 8) of sector `sector` on, as of writing `stamp`. */
void pattern_fill(void *to, size_t bytes, uint64_t sector, uint32_t stamp);
bool pattern_holds(const void *at, size_t bytes, uint64_t sector, uint32_t stamp);
/* Writes nsegs whole pages at sector on queue q, reads them back into pages that were wiped, and verifies; fails the case when
 * it is not so. listed: by an indirect request. */
void write_and_read(struct disk *d, struct queue *q, unsigned nsegs, uint64_t sector, bool listed);
/* Pushes r with id, waits for its answer, which must be that id's. */
enum got ask_on(struct disk *d, struct queue *q, const union request *r, uint64_t id);

#endif
