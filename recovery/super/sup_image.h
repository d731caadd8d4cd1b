/* sup_image.h - the reservation of a disk image: a description that does no I/O and holds what qemu's tools look at
 * (DESIGN.md section 3). Threads: any.
 */
#ifndef BULKHEAD_RECOVERY_SUPER_SUP_IMAGE_H
#define BULKHEAD_RECOVERY_SUPER_SUP_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lock bytes of the generations of stubs (DESIGN.md section 7); the span is that of one who shares an image (w!). */
#define IMAGE_FENCE_BASE (1ull << 40)
#define IMAGE_FENCE_SPAN (1ull << 32)

/* Ours alone: no other program looks at it. */
#define IMAGE_OWN_BYTE 300

enum image_mode {
	IMAGE_WRITE,
	IMAGE_READ,
	IMAGE_SHARED, /* w!: nothing is locked */
	IMAGE_YIELD,  /* to write; what qemu's tools look at is left to the guest's own QEMU, until image_close_up() */
};

struct image {
	int fd;
	uint64_t dev, ino;
};

/* Opens a regular file or block device and locks it: for writing bytes 100-299, exclusively; for reading bytes 100, 201
 * and 203, shared; and IMAGE_OWN_BYTE alike. -EAGAIN: somebody else has it (dev and ino are filled in, fd is -1); -EBUSY: the kernel itself uses the block
 * device, for writing only. err gets one clear line: what is
 * wrong and what to do. Never waits for a lock; opening itself may wait for a network file system. */
int image_reserve(const char *path, enum image_mode mode, struct image *out, char *err, size_t size);
/* Makes IMAGE_YIELD IMAGE_WRITE. 0; -EAGAIN: somebody has it open. Never waits; again is no harm. */
int image_close_up(int fd);
/* Ends the reservation at once, whoever else holds this description as well (the keeper closes it a moment later), and closes
 * fd. */
void image_release(int fd);
/* How long it is, as this host knows it: never waits. 0 or negative errno. */
int image_size(int fd, uint64_t *bytes);
/* I/O of some stub, living or dead, may still run on what fd is open on. */
bool image_busy(int fd);
/* Makes (or opens again) the store of a memory disk. */
int image_memory(const char *path, uint64_t bytes, struct image *out, char *err, size_t size);

#endif
