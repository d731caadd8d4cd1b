#include "backend/core/be_config.h"

#include <errno.h>
#include <stdlib.h>

#include <urcu/urcu-qsbr.h>

/* ThreadSanitizer does not see into liburcu: it is told what orders what. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TOLD_BY_HAND
#endif
#elif defined(__SANITIZE_THREAD__)
#define TOLD_BY_HAND
#endif
#ifdef TOLD_BY_HAND
#include <sanitizer/tsan_interface.h>
#define BEFORE(what) __tsan_release(what)
#define AFTER(what) __tsan_acquire(what)
#else
#define BEFORE(what) ((void)(what))
#define AFTER(what) ((void)(what))
#endif

static char grace; /* names the order between readers that have let go and free() */

struct be_config_box {
	struct be_config config;
	struct rcu_head head;
};

static void free_box(struct rcu_head *h)
{
	AFTER(&grace);
	free(CONTAINER_OF(h, struct be_config_box, head));
}

int be_config_publish(struct be_config_slot *s, const struct be_config *c)
{
	struct be_config_box *box = calloc(1, sizeof(*box)), *old = s->now;

	if (!box)
		return -ENOMEM;
	box->config = *c;
	BEFORE(s);
	rcu_assign_pointer(s->now, box);
	BEFORE(&grace);
	if (old)
		urcu_qsbr_call_rcu(&old->head, free_box);
	return 0;
}

const struct be_config *be_config_get(const struct be_config_slot *s)
{
	const struct be_config_box *box = rcu_dereference(s->now);

	AFTER((void *)(uintptr_t)s);
	return &box->config;
}

void be_config_quiescent(void)
{
	BEFORE(&grace);
	urcu_qsbr_quiescent_state();
}

void be_config_offline(void)
{
	BEFORE(&grace);
	urcu_qsbr_thread_offline();
}

void be_config_thread_start(void) { urcu_qsbr_register_thread(); }
void be_config_online(void) { urcu_qsbr_thread_online(); }
