/* Reservations of devices that were let go: a dead stub may have left I/O behind, and until that has ended nobody else may take
 * the image (DESIGN.md section 7: reaped is not fenced). The keeper holds them too, so a successor goes on. */
#include "recovery/super/sup_priv.h"

#include "recovery/super/sup_image.h"
#include "ring/base/check.h"
#include "ring/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_NS (500 * NS_PER_US) /* mostly it ends within a millisecond */
#define LOOK_LATE_NS (20 * NS_PER_MS)
#define LATE_NS (20 * NS_PER_MS)
#define SAY_NS NS_PER_S

struct sup_held {
	LIST_ENTRY(sup_held) link;
	struct sup *sup;
	int fd;
	uint64_t dev, ino, since;
	bool said;
	char name[KEEP_NAME_MAX];
	struct loop_timer timer;
};

static void forget(struct sup_held *h)
{
	loop_timer_stop(h->sup->loop, &h->timer);
	LIST_REMOVE(h, link);
	free(h);
}

static void look(struct loop_timer *t)
{
	struct sup_held *h = CONTAINER_OF(t, struct sup_held, timer);
	uint64_t now = clock_now();

	if (!image_busy(h->fd)) {
		if (h->said)
			log_info("an image that was let go is free now");
		if (sup_twin_reserves(h->sup, NULL, h->dev, h->ino))
			close(h->fd);
		else
			image_release(h->fd);
		keep_drop(&h->sup->keep, h->name);
		forget(h);
		return;
	}
	if (!h->said && now - h->since >= SAY_NS) {
		h->said = true;
		log_warn("an image that was let go (inode %llu) stays reserved: I/O of a dead stub still runs on it",
			 (unsigned long long)h->ino);
	}
	loop_timer_start(h->sup->loop, &h->timer, now + (now - h->since < LATE_NS ? LOOK_NS : LOOK_LATE_NS), look);
}

static struct sup_held *hold(struct sup *s, int fd)
{
	struct sup_held *h = calloc(1, sizeof(*h));
	struct stat st = {0};

	CHECK(h);
	fstat(fd, &st);
	*h = (struct sup_held){.sup = s, .fd = fd, .dev = st.st_dev, .ino = st.st_ino, .since = clock_now()};
	LIST_INSERT_HEAD(&s->held, h, link);
	loop_timer_start(s->loop, &h->timer, h->since + LOOK_NS, look);
	return h;
}

void sup_held_take(struct sup *s, int fd)
{
	struct sup_held *h = hold(s, fd);

	sup_name_held(h->name, ++s->serial);
	keep_put(&s->keep, h->name, &h->fd, 1);
}

void sup_held_adopt(struct sup *s, const char *name)
{
	struct sup_held *h;
	size_t n = 1;
	int fd;

	LIST_FOREACH(h, &s->held, link)
		if (strcmp(h->name, name) == 0)
			return;
	if (keep_get(&s->keep, name, &fd, &n) || n != 1)
		return;
	if (sup_name_is_held(name))
		snprintf(hold(s, fd)->name, sizeof(h->name), "%s", name);
	else
		sup_held_take(s, fd);
}

enum sup_held_for sup_held_has(const struct sup *s, uint64_t dev, uint64_t ino)
{
	const struct sup_held *h;

	LIST_FOREACH(h, &s->held, link)
		if (h->dev == dev && h->ino == ino)
			return h->said ? SUP_HELD_LONG : SUP_HELD_SHORTLY;
	return SUP_HELD_NOT;
}

void sup_held_deposit(struct sup *s)
{
	const struct sup_held *h;

	LIST_FOREACH(h, &s->held, link)
		keep_put(&s->keep, h->name, &h->fd, 1);
}

void sup_held_close(struct sup *s)
{
	struct sup_held *h;

	while ((h = LIST_FIRST(&s->held))) {
		close(h->fd); /* the keeper holds it for our successor */
		forget(h);
	}
}
