#include "tests/bench/net_dpdk.h"

#include "ring/base/base.h"
#include "tests/bench/bench_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (256u << 10)
#define FIGURES 16u
#define WARM 1u /* of them, at the start; the last may be of the end */

/* The host's end in the background, the guest's for some seconds once it listens; prints what the host's has said. No huge pages, no
 * devices but these two. */
static const char script[] =
	"command -v dpdk-testpmd >/dev/null || exit 127\n"
	"d=$(mktemp -d) || exit 1\n"
	"pmd() { exec timeout -k 1 \"$1\" dpdk-testpmd --no-huge -m 256 --no-pci --file-prefix=\"$(basename \"$d\")-$2\" --lcores \"$3\" --vdev \"$4\""
	" -- --total-num-mbufs=8192 --stats-period=1 --forward-mode=\"$5\" \"--txpkts=$6\"; }\n"
	"(pmd 11 host 0@0,1@1 \"net_vhost0,iface=$d/sock,queues=1\" rxonly \"$1\") >\"$d/out\" 2>&1 &\n"
	"for i in $(seq 60); do [ -S \"$d/sock\" ] || sleep 0.05; done\n"
	"(pmd 6 guest 0@0,1@0 \"net_virtio_user0,path=$d/sock,queues=1,mac=02:00:00:00:00:02\" txonly \"$1\") >\"$d/guest\" 2>&1\n"
	"kill $! 2>/dev/null; wait\n"
	"cat \"$d/out\"; grep -ai error \"$d/guest\" | tail -n 1; rm -rf \"$d\"\n";

static double median_of(const char *text)
{
	double v[FIGURES];
	size_t n = 0, seen = 0;

	for (const char *at = strstr(text, "Rx-pps:"); at && n < FIGURES; at = strstr(at + 1, "Rx-pps:")) {
		double pps = strtod(at + 7, NULL);

		if (pps > 0 && ++seen > WARM)
			v[n++] = pps;
	}
	return n > 1 ? bench_median(v, n - 1) : n ? v[0] : 0;
}

int net_dpdk_rate(uint32_t frame, double *rate, char *err, size_t size)
{
	char bytes[16], *text = malloc(TEXT_MAX);
	const char *argv[] = {"sh", "-c", script, "sh", bytes, NULL};
	int rc;

	if (!text)
		return -ENOMEM;
	snprintf(bytes, sizeof(bytes), "%u", frame);
	rc = bench_run_program(argv, text, TEXT_MAX);
	*rate = rc == 0 ? median_of(text) : 0;
	if (rc == 127)
		snprintf(err, size, "dpdk-testpmd is not installed (Debian: dpdk-dev)");
	else if (!*rate)
		snprintf(err, size, "testpmd moves no packets here");
	free(text);
	return *rate ? 0 : -ENOSYS;
}
