#include "backend/engine/ofd_fence.h"
#include "backend/engine/engine.h"
#include "ring/base/barrier.h"
#include "ring/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Non-blocking. -EAGAIN when another description holds a part. */
static int set(struct ofd_fence *f, short type, uint64_t start, uint64_t len)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)len};

	if (len == 0)
		return 0; /* to fcntl that would mean "to the end of the file" */
	if (fcntl(f->fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int take_fresh(struct ofd_fence *f, uint64_t g)
{
	int rc = set(f, F_WRLCK, f->base, ENGINE_FENCE_GENERATIONS);

	if (rc)
		return rc;
	/* All are mine, so nobody's I/O runs. The others are given back, or no successor could take its own. */
	rc = set(f, F_UNLCK, f->base, g);
	if (!rc)
		rc = set(f, F_UNLCK, f->base + g + 1, ENGINE_FENCE_GENERATIONS - g - 1);
	return rc;
}

int ofd_fence_take(struct ofd_fence *f, uint64_t g, bool fresh)
{
	int rc;

	CHECK(g > 0 && g < ENGINE_FENCE_GENERATIONS && f->generation == 0);
	if (fresh) {
		rc = take_fresh(f, g);
	} else {
		rc = set(f, F_WRLCK, f->base + g, 1);
		if (rc == -EAGAIN)
			rc = -EBUSY;
	}
	if (rc)
		return rc;
	f->generation = g;
	store_relaxed(&f->granted, fresh);
	return 0;
}

int ofd_fence_poll(struct ofd_fence *f)
{
	int rc;

	CHECK(f->generation > 0);
	if (load_relaxed(&f->granted))
		return 1;
	/* Kept, not given back: a former generation that somebody starts late finds its own byte taken. */
	rc = set(f, F_WRLCK, f->base, f->generation);
	if (rc == -EAGAIN)
		return 0;
	if (rc)
		return rc;
	store_relaxed(&f->granted, true);
	return 1;
}
