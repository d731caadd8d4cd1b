#include "frontend/net/net_cmd.h"

#include "ring/base/err.h"

#include <errno.h>
#include <stdio.h>

static void tell_way(const char *name, const struct net_verify_way *w, double seconds)
{
	printf("%s_sent: %llu\n%s_received: %llu\n%s_lost: %llu\n%s_repeated: %llu\n%s_reordered: %llu\n%s_corrupted: %llu\n", name,
	       (unsigned long long)w->sent, name, (unsigned long long)w->received, name, (unsigned long long)w->lost, name,
	       (unsigned long long)w->repeated, name, (unsigned long long)w->reordered, name, (unsigned long long)w->corrupted);
	printf("%s_lost_longest: %llu\n%s_refused: %llu\n%s_foreign: %llu\n", name, (unsigned long long)w->lost_longest, name,
	       (unsigned long long)w->refused, name, (unsigned long long)w->foreign);
	printf("%s_packets_per_s: %.0f\n%s_mbit_per_s: %.1f\n", name, (double)w->received / seconds, name,
	       (double)w->bytes * 8 / 1e6 / seconds);
	printf("%s_outages: %llu\n%s_outage_p50_us: %.1f\n%s_outage_p99_us: %.1f\n%s_gap_max_us: %.1f\n", name,
	       (unsigned long long)w->outages, name, (double)w->outage_p50 / 1e3, name, (double)w->outage_p99 / 1e3, name,
	       (double)w->gap_max / 1e3);
}

int net_cmd_verify(struct netfront *a, struct netfront *b, const struct net_verify_opts *o)
{
	struct net_verify_result r;
	int rc = net_verify(a, b, o, &r);

	if (rc) {
		fprintf(stderr, "bulkhead-netfront: verify: %s\n",
			rc == -EINVAL ? "the vifs have different queues, or take no such size" : err_str(rc));
		return NET_EXIT_FAILED;
	}
	tell_way("out", &r.way[0], r.seconds);
	if (!o->one_way)
		tell_way("back", &r.way[1], r.seconds);
	printf("seed: %llu\n", (unsigned long long)o->seed);
	if (r.rc)
		fprintf(stderr, "bulkhead-netfront: verify: an end has ended: %s\n", err_str(r.rc));
	return r.rc || r.way[0].corrupted || r.way[1].corrupted ? NET_EXIT_FAILED : EXIT_DONE;
}

int net_cmd_failed(const char *line)
{
	fprintf(stderr, "bulkhead-netfront: %s\n", line);
	return NET_EXIT_FAILED;
}
