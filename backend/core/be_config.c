#include "backend/core/be_config.h"

#include <errno.h>
#include <stdlib.h>

#include <urcu/urcu-qsbr.h>

struct be_config_box {
	struct be_config config;
	struct rcu_head head;
};

static void free_box(struct rcu_head *h) { free(CONTAINER_OF(h, struct be_config_box, head)); }

int be_config_publish(struct be_config_slot *s, const struct be_config *c)
{
	struct be_config_box *box = calloc(1, sizeof(*box)), *old = s->now;

	if (!box)
		return -ENOMEM;
	box->config = *c;
	rcu_assign_pointer(s->now, box);
	if (old)
		urcu_qsbr_call_rcu(&old->head, free_box);
	return 0;
}

const struct be_config *be_config_get(const struct be_config_slot *s) { return &rcu_dereference(s->now)->config; }
void be_config_thread_start(void) { urcu_qsbr_register_thread(); }
void be_config_thread_end(void) { urcu_qsbr_unregister_thread(); }
void be_config_quiescent(void) { urcu_qsbr_quiescent_state(); }
void be_config_offline(void) { urcu_qsbr_thread_offline(); }
void be_config_online(void) { urcu_qsbr_thread_online(); }
