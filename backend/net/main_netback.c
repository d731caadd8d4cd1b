/* bulkhead-net: the stub of network devices. Started by bulkheadd (ring/os/stub_wire.h). */
#include "backend/core/be_boot.h"
#include "backend/net/net_class.h"
#include "ring/base/err.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "bulkhead-net"

static int help(void)
{
	puts("usage: bulkhead-net --help | --version\n"
	     "\n"
	     "Without arguments it serves network devices; bulkheadd starts it so, with a start record and a control socket.\n"
	     "Exit status: 0 done, 20 broken, 21 journal of another connection, 22 cannot start, 100 wrong usage.");
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	static const struct be_class *const classes[] = {&net_class, NULL};
	const char *arg = argc > 1 ? argv[1] : "";

	if (argc == 1 || (argc == 2 && strcmp(arg, STUB_BLANK_ARG) == 0))
		_exit(be_boot_serve(NAME, argc == 2, classes)); /* workers may be at work: no destructors */
	if (strcmp(arg, "--help") == 0 && argc == 2)
		return help();
	if (strcmp(arg, "--version") == 0 && argc == 2)
		return printf(NAME " (Bulkhead), start record version %u\n", STUB_VERSION) < 0 ? EXIT_TEMPORARY : EXIT_DONE;
	fprintf(stderr, NAME ": \"%s\" is not understood: see " NAME " --help\n", arg);
	return EXIT_USAGE;
}
