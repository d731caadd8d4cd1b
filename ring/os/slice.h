/* slice.h - a short turn on the CPU, in exchange for getting it sooner.
 *
 * Since Linux 6.12 an ordinary thread may ask for a shorter slice than the default of some milliseconds. It gets no larger share of
 * the CPU, but at its wake-up it goes before those whose slice is longer. For those whom a guest waits for. Needs no rights.
 */
#ifndef BULKHEAD_RING_OS_SLICE_H
#define BULKHEAD_RING_OS_SLICE_H

/* For this thread and those that it makes from now on, its io_uring's kernel threads included. Best effort: an older kernel
 * ignores it. */
void slice_short(void);

#endif
