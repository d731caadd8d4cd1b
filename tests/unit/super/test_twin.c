/* Two domains of one VM: who may have the image, and when the first one must let go. The rest of the supervisor is played. */
#include "recovery/super/sup_image.h"
#include "recovery/super/sup_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool runs[8]; /* by domid */
static unsigned closed[8];

bool sup_domain_runs(const struct sup_dev *d) { return runs[d->domid]; }
void sup_dev_event(struct sup_dev *d, enum sup_event ev) { closed[d->domid] += ev == SUP_EV_CLOSE; }
void sup_note(struct sup_dev *d, enum ctl_event_kind kind, const char *fmt, ...) { (void)d, (void)kind, (void)fmt; }

struct rig {
	struct sup s;
	struct sup_group g;
	struct sup_dev d[3]; /* of domains 1, 2, 3 */
	char path[64];
	struct image im;
};

static int up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	char err[128];
	int fd;

	*state = r;
	strcpy(r->path, "/tmp/bulkhead-twin-XXXXXX");
	fd = mkstemp(r->path);
	close(fd);
	LIST_INIT(&r->s.groups);
	LIST_INSERT_HEAD(&r->s.groups, &r->g, link);
	for (unsigned i = 0; i < 3; i++) {
		struct sup_dev *d = &r->d[i];

		*d = (struct sup_dev){.sup = &r->s, .group = &r->g, .type = CONN_VBD, .domid = i + 1, .devid = 51712, .vbd.image = -1};
		d->vbd.fence_base = IMAGE_FENCE_BASE;
		memset(d->uuid, i == 2 ? 3 : 7, sizeof(d->uuid)); /* 1 and 2 are one VM's */
		LIST_INSERT_HEAD(&r->g.devs, d, link);
		runs[i + 1] = true;
		closed[i + 1] = 0;
	}
	assert_int_equal(image_reserve(r->path, IMAGE_WRITE, &r->im, err, sizeof(err)), 0);
	r->d[0].vbd.image = r->im.fd;
	r->d[0].vbd.image_dev = r->im.dev;
	r->d[0].vbd.image_ino = r->im.ino;
	return 0;
}

static int down(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 3; i++)
		if (r->d[i].vbd.image >= 0)
			close(r->d[i].vbd.image);
	unlink(r->path);
	free(r);
	return 0;
}

static int reserve(struct rig *r, unsigned of) { return sup_twin_reserve(&r->d[of], r->im.dev, r->im.ino); }

static void take(struct rig *r, unsigned of, int fd)
{
	assert_true(fd >= 0);
	r->d[of].vbd.image = fd;
	r->d[of].vbd.image_dev = r->im.dev;
	r->d[of].vbd.image_ino = r->im.ino;
}

static void only_the_same_vm_and_only_when_the_first_is_shut_down(void **state)
{
	struct rig *r = *state;

	assert_int_equal(reserve(r, 1), -EAGAIN);
	runs[1] = false;
	assert_int_equal(reserve(r, 2), -EAGAIN);
	r->d[1].vbd.wanted.read_only = true;
	assert_int_equal(reserve(r, 1), -EAGAIN);
	r->d[1].vbd.wanted.read_only = false;
	r->d[1].devid = 51728;
	assert_int_equal(reserve(r, 1), -EAGAIN);
	r->d[1].devid = 51712;
	memset(r->d[0].uuid, 0, sizeof(r->d[0].uuid)); /* not known: not the same */
	memset(r->d[1].uuid, 0, sizeof(r->d[1].uuid));
	assert_int_equal(reserve(r, 1), -EAGAIN);
	memset(r->d[0].uuid, 7, sizeof(r->d[0].uuid));
	memset(r->d[1].uuid, 7, sizeof(r->d[1].uuid));
	assert_false(sup_twin_reserves(&r->s, &r->d[0], r->im.dev, r->im.ino));
	take(r, 1, reserve(r, 1));
	assert_true(sup_twin_reserves(&r->s, &r->d[0], r->im.dev, r->im.ino));
}

/* The reservation holds for others until the last of the two has let go. */
static void it_is_one_reservation(void **state)
{
	struct rig *r = *state;
	struct image other;
	char err[128];

	runs[1] = false;
	take(r, 1, reserve(r, 1));
	close(r->d[0].vbd.image);
	r->d[0].vbd.image = -1;
	assert_int_equal(image_reserve(r->path, IMAGE_WRITE, &other, err, sizeof(err)), -EAGAIN);
	image_release(r->d[1].vbd.image);
	r->d[1].vbd.image = -1;
	assert_int_equal(image_reserve(r->path, IMAGE_WRITE, &other, err, sizeof(err)), 0);
	close(other.fd);
}

static void the_first_lets_go_when_the_second_asks(void **state)
{
	struct rig *r = *state;
	char err[128] = "";

	runs[1] = false;
	take(r, 1, reserve(r, 1));
	/* It runs again: the migration has failed. */
	runs[1] = true;
	assert_int_equal(sup_twin_leave(&r->d[1], err, sizeof(err)), -EBUSY);
	assert_non_null(strstr(err, "which runs"));
	assert_int_equal(closed[1], 0);
	runs[1] = false;
	assert_int_equal(sup_twin_leave(&r->d[1], err, sizeof(err)), 0);
	assert_int_equal(closed[1], 1);
	assert_int_equal(closed[2] + closed[3], 0);
	/* One that is alone has nobody to ask. */
	close(r->d[0].vbd.image);
	r->d[0].vbd.image = -1;
	assert_int_equal(sup_twin_leave(&r->d[1], err, sizeof(err)), 0);
	assert_int_equal(closed[1], 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
	const struct CMUnitTest t[] = {
		T(only_the_same_vm_and_only_when_the_first_is_shut_down),
		T(it_is_one_reservation),
		T(the_first_lets_go_when_the_second_asks),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
