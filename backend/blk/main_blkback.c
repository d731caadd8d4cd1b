/* bulkhead-blk: the stub of block devices. Started by bulkheadd (ring/os/stub_wire.h); people use --probe SPEC. */
#include "backend/blk/blk_class.h"
#include "backend/core/be_boot.h"
#include "ring/base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "bulkhead-blk"

static int help(void)
{
	puts("usage: bulkhead-blk --probe SPEC   says what a disk's storage is like\n"
	     "       bulkhead-blk --help | --version\n"
	     "\n"
	     "SPEC: /PATH, file:/PATH, mem:SIZE or null:SIZE, then ,key=value ... as in a disk's params.\n"
	     "Without arguments it serves block devices; bulkheadd starts it so, with a start record and a control socket.\n"
	     "Exit status: 0 done, 20 broken, 21 journal of another connection, 22 cannot start, 100 wrong usage.");
	return EXIT_DONE;
}

static const char *yes_no(uint32_t v) { return v ? "yes" : "no"; }

static int probe_for_people(const char *spec)
{
	char err[512] = "";
	struct stub_probe p;

	if (blk_probe_spec(spec, &p, err, sizeof(err))) {
		fprintf(stderr, NAME ": %s\n", err);
		return EXIT_USAGE;
	}
	printf("bytes %" PRIu64 "\nsectors %" PRIu64 "\nsector-size %u\nphysical-sector-size %u\nflush %s\n", p.sectors * 512,
	       p.sectors, p.sector_size, p.physical_size, yes_no(p.flush));
	printf("discard %s\ndiscard-granularity %u\ndiscard-alignment %u\nsecure-discard %s\n", yes_no(p.discard),
	       p.discard_granularity, p.discard_alignment, yes_no(p.secure_discard));
	printf("read-only %s\nremovable %s\n", yes_no(p.read_only), yes_no(p.removable));
	return fflush(stdout) ? EXIT_TEMPORARY : EXIT_DONE;
}

static int wrong_usage(const char *what)
{
	fprintf(stderr, NAME ": \"%s\" is not understood: see " NAME " --help\n", what);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct be_class *const classes[] = {&blk_class, NULL};
	const char *arg = argc > 1 ? argv[1] : "";

	if (argc == 1 || (argc == 2 && strcmp(arg, STUB_BLANK_ARG) == 0))
		_exit(be_boot_serve(NAME, argc == 2, classes)); /* workers may be at work: no destructors */
	if (strcmp(arg, "--probe") == 0 && argc == 2)
		_exit(be_boot_probe(NAME, &blk_class)); /* what it allocated is its process's */
	if (strcmp(arg, "--probe") == 0 && argc == 3)
		return probe_for_people(argv[2]);
	if (strcmp(arg, "--help") == 0 && argc == 2)
		return help();
	if (strcmp(arg, "--version") == 0 && argc == 2)
		return printf(NAME " (Bulkhead), start record version %u\n", STUB_VERSION) < 0 ? EXIT_TEMPORARY : EXIT_DONE;
	return wrong_usage(argc > 2 && arg[0] == '-' && strcmp(arg, "--probe") == 0 ? argv[3] : arg);
}
