/* blkback_grant.h - data between the guest's pages and the stub's buffers, by the CPU only (DESIGN.md section 7).
 *
 * With persistent grants pages stay mapped, as many as there are places for; what finds none, and all without persistent grants, goes
 * by batched grant copy. Threads: one a queue. When the provider itself is lost, these functions end the process.
 */
#ifndef BULKHEAD_BACKEND_BLK_BLKBACK_GRANT_H
#define BULKHEAD_BACKEND_BLK_BLKBACK_GRANT_H

#include "ring/hv/hv.h"

#include <stdbool.h>
#include <xen/xen.h>

#include <xen/event_channel.h>
#include <xen/io/blkif.h>

/* When all places are taken, one of so many pages that find none takes that of the least recently used. */
#define BLK_GRANTS_REPLACE 32u

struct blk_grants;

/* limit: pages kept mapped (persistent only); at least one request's. */
int blk_grants_open(struct hv *hv, hv_domid_t dom, bool persistent, uint32_t limit, struct blk_grants **out);
/* Unmaps nothing: the hv goes, or is gone. */
void blk_grants_close(struct blk_grants *g);
/* Copies the segments' sectors, one behind the other, to or from buf. 0; -EIO when a page of the guest's could not be used:
 * nothing may be concluded about the others. */
int blk_grants_move(struct blk_grants *g, const struct blkif_request_segment *seg, unsigned n, char *buf, bool to_guest);
/* Maps them if pages stay mapped and there is room, for a blk_grants_move to come. Best effort. n <= HV_BATCH_MAX. */
void blk_grants_ahead(struct blk_grants *g, const struct blkif_request_segment *seg, unsigned n);
/* Copies whole pages from the guest: the lists of indirect requests. */
int blk_grants_fetch(struct blk_grants *g, const uint32_t *grefs, unsigned npages, size_t bytes, void *buf);
uint32_t blk_grants_mapped(const struct blk_grants *g);

#endif
