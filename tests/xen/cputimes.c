/* cputimes FILE - follows a guest's console in FILE as it grows, from its begin, and copies the lines that start with FIG, BEGIN or END,
 * behind the latter how long this domain had run until then, in nanoseconds, by the hypervisor's account. Ends at the line
 * GUEST DONE. For benches: it costs nothing between such lines. */
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/types.h>
#include <unistd.h>
#include <xenctrl.h>

#define LINE_BYTES 256

static int show(xc_interface *xc, char *line)
{
	xc_dominfo_t info;

	if (strncmp(line, "FIG ", 4) == 0) {
		printf("%s", line);
		return fflush(stdout);
	}
	if (strncmp(line, "BEGIN ", 6) != 0 && strncmp(line, "END ", 4) != 0)
		return strncmp(line, "GUEST DONE", 10) == 0;
	if (xc_domain_getinfo(xc, 0, 1, &info) != 1)
		return -1;
	line[strcspn(line, "\r\n")] = '\0';
	printf("%s %llu\n", line, (unsigned long long)info.cpu_time);
	return fflush(stdout);
}

/* What there is of whole lines; a begun one is read again when more has come. */
static int show_new(xc_interface *xc, FILE *f)
{
	char line[LINE_BYTES];
	int rc = 0;
	long at;

	clearerr(f);
	for (at = ftell(f); !rc && fgets(line, sizeof(line), f) && strchr(line, '\n'); at = ftell(f))
		rc = show(xc, line);
	return rc ? rc : fseek(f, at, SEEK_SET);
}

int main(int argc, char **argv)
{
	xc_interface *xc = xc_interface_open(NULL, NULL, 0);
	FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
	int in = inotify_init1(IN_CLOEXEC), rc = 0;
	char events[4096];

	if (!xc || !f || in < 0 || inotify_add_watch(in, argv[1], IN_MODIFY) < 0) {
		fprintf(stderr, "cputimes: FILE, on Xen\n");
		return 100;
	}
	do
		rc = show_new(xc, f);
	while (!rc && read(in, events, sizeof(events)) > 0);
	return rc == 1 ? 0 : 1;
}
