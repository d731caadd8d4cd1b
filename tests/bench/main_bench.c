/* bulkhead-bench: `bulkhead bench NAME`. */
#include "tests/bench/bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE 100

static const struct bench benches[] = {
	{"ring", "requests a second through one ring, beside its peers", bench_ring},
	{"blk", "whole disks: requests a second and answer times, beside other ways to the same storage", bench_blk},
	{"latency", "one request at a time: answer time and its price, with and without polling; an idle disk", bench_latency},
	{"net", "packets through a vif to a null, a pair and a tap, beside a bare tap and a veth pair", bench_net},
	{"outage", "how long a busy guest waits when its stub is killed", bench_outage},
	{"second", "what one death a second costs", bench_second},
	{"many", "a hundred disks: memory, idle CPU, and what deaths do", bench_many},
};

static int usage(FILE *f, int status)
{
	fprintf(f, "usage: bulkhead bench NAME [options]\n\n");
	for (size_t i = 0; i < ARRAY_LEN(benches); i++)
		fprintf(f, "  %-10s %s\n", benches[i].name, benches[i].what);
	fprintf(f, "\n  --json          one object a line, for programs\n"
		   "  --plot DIR      also a picture, by gnuplot\n"
		   "  --rounds N      interleaved repetitions of everything\n"
		   "  --seconds S     of each measurement\n"
		   "  --kills N       of each variant that kills\n"
		   "  --only TEXT     variants whose name contains TEXT\n"
		   "  --full          every combination (blk)\n"
		   "  --runtime-dir D a world that is there already\n"
		   "  --list          names of the benches, and no more\n");
	return status;
}

static int list(void)
{
	for (size_t i = 0; i < ARRAY_LEN(benches); i++)
		puts(benches[i].name);
	return 0;
}

static double positive(const char *name, const char *text)
{
	char *end;
	double d = strtod(text, &end);

	if (*end || end == text || !(d > 0 && d < 1e6)) {
		fprintf(stderr, "bulkhead bench: --%s wants a number above 0, not \"%s\"\n", name, text);
		exit(USAGE);
	}
	return d;
}

static const struct bench *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(benches); i++)
		if (strcmp(benches[i].name, name) == 0)
			return &benches[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"plot", required_argument, NULL, 'p'},
						{"rounds", required_argument, NULL, 'r'},
						{"seconds", required_argument, NULL, 's'},
						{"kills", required_argument, NULL, 'k'},
						{"only", required_argument, NULL, 'o'},
						{"full", no_argument, NULL, 'f'},
						{"runtime-dir", required_argument, NULL, 'd'},
						{"list", no_argument, NULL, 'l'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct bench_opts o = {0};
	const struct bench *b;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'j': o.json = true; break;
		case 'p': o.plot = optarg; break;
		case 'r': o.rounds = (unsigned)MIN(positive("rounds", optarg), (double)BENCH_ROUNDS_MAX); break;
		case 's': o.seconds = positive("seconds", optarg); break;
		case 'k': o.kills = (unsigned)positive("kills", optarg); break;
		case 'o': o.only = optarg; break;
		case 'f': o.full = true; break;
		case 'd': o.runtime_dir = optarg; break;
		case 'l': return list();
		case 'h': return usage(stdout, 0);
		default: return usage(stderr, USAGE);
		}
	}
	if (optind == argc)
		return usage(stderr, USAGE);
	b = find(argv[optind]);
	if (!b) {
		fprintf(stderr, "bulkhead bench: no bench \"%s\"; there are:", argv[optind]);
		for (size_t i = 0; i < ARRAY_LEN(benches); i++)
			fprintf(stderr, " %s", benches[i].name);
		fputc('\n', stderr);
		return USAGE;
	}
	return b->run(argc - optind, argv + optind, &o);
}
