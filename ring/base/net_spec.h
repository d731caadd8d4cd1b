/* net_spec.h - what the text that names a vif's netport (spec.h) may say: its kind, and a filter of the packets that pass it.
 *
 * Shared by the supervisor, which refuses what is wrong when the vif is attached, and the netports, so that both read it alike. Pure.
 * Errors: -EINVAL, with one clear line in err.
 */
#ifndef BULKHEAD_RING_BASE_NET_SPEC_H
#define BULKHEAD_RING_BASE_NET_SPEC_H

#include "ring/base/spec.h"

enum net_chance { NET_LOSS, NET_DUPLICATE, NET_REORDER, NET_CHANCES };
#define NET_MILLION 1000000u

struct net_filter {
	uint32_t chance[NET_CHANCES]; /* so many of a million packets */
	uint32_t delay_ms;
	uint32_t seed;
};

/* Takes loss=, duplicate=, reorder= (of a hundred packets; "%" may follow), delay= (ms, which may follow) and seed= out of s. What is
 * not there is 0; the seed is 1. How many there were. */
int net_filter_take(struct spec *s, struct net_filter *f, char *err, size_t size);
/* The same of a filter alone, "loss=0.5,delay=20": anything else is -EINVAL. */
int net_filter_parse(const char *text, struct net_filter *f, char *err, size_t size);
/* Writes it back, without what is 0, and the seed only when it is not 1: "" does nothing. */
#define NET_FILTER_TEXT 96u
void net_filter_format(const struct net_filter *f, char text[NET_FILTER_TEXT]);
/* There is such a netport, and all options are those of a filter. 0. The argument is judged by who opens it. */
int net_spec_check(const struct spec *s, char *err, size_t size);

#endif
