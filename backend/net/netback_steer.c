/* netback_steer.c - the guest's hash mapping, to where the kernel reads it for each packet (ring/os/steer.h): stores, no system call. */
#include "backend/net/netback_priv.h"

static_assert(STEER_KEY == NJRNL_KEY && STEER_MAPPING == NJRNL_MAPPING && CONN_QUEUES_MAX <= UINT8_MAX, "as the journal has it");
static_assert(STEER_IPV4 == XEN_NETIF_CTRL_HASH_TYPE_IPV4 && STEER_IPV4_TCP == XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP &&
	      STEER_IPV6 == XEN_NETIF_CTRL_HASH_TYPE_IPV6 && STEER_IPV6_TCP == XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP, "as the guest has it");

/* The 32 bits of the key from there on: what a set bit at that place of the tuple adds to the hash. */
static uint32_t window(const uint8_t *key, uint32_t bit)
{
	uint64_t w = 0;

	for (uint32_t i = 0; i < 5; i++)
		w = w << 8 | key[bit / 8 + i];
	return (uint32_t)(w >> (8 - bit % 8));
}
static_assert((8 * STEER_TUPLE - 1) / 8 + 5 <= STEER_KEY, "a window for each bit");

static void fill(struct steer_state *s, const struct njrnl_net *n)
{
	for (uint32_t k = 0; k < 2 * STEER_TUPLE; k++) {
		uint32_t *part = s->part[k];

		part[0] = 0;
		for (uint32_t bit = 0; bit < 4; bit++) { /* of the value: 1, 2, 4, 8 */
			uint32_t at = 1u << bit, w = window(n->key, 4 * k + 3 - bit);

			for (uint32_t v = 0; v < at; v++)
				part[at + v] = part[v] ^ w;
		}
	}
	s->size = n->mapping_size;
	for (uint32_t i = 0; i < STEER_MAPPING; i++)
		s->mapping[i] = (uint8_t)n->mapping[i];
}

void net_steer(struct netback *b)
{
	bool on = b->net.hash_alg == XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ && b->net.hash_flags;
	struct steer_map *m = b->steer;
	struct steer_state *s;

	if (!m)
		return;
	s = &m->state[(m->now + 1) % STEER_STATES];
	if (on)
		fill(s, &b->net);
	s->types = on ? b->net.hash_flags : 0;
	smp_store_release(&m->now, m->now + 1); /* pairs with the kernel's reading, which looks at it before and after */
	if (on && !b->steer_said)
		b->event(b->event_arg, BE_STEER, 0, NULL);
	b->steer_said |= on;
}
