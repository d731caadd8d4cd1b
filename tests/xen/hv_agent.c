/* The guest's end of the provider's suite (hv_xen.c): a frontend that does what it is told, a line for each call. Lines come by
 * stdin, the console; an answer begins with '@'. Numbers are hexadecimal, addresses this process's.
 *   o                open            c                close            a NPAGES         alloc -> rc address
 *   f ADDR NPAGES    free            s ADDR BYTE N    fill, no answer  p ADDR           peek -> byte
 *   g DOM ADDR RO... grant -> rc gref...               u GREF...        ungrant -> rc status...
 *   b DOM            port -> rc slot number            n|k|q|x SLOT     notify, clear, pending, close
 */
#include "ring/hv/hv.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#define SLOTS 64

static struct hv *hv;
static struct hv_port *port[SLOTS];

static char *rest; /* of the line */
static uintptr_t next(void) { return strtoull(rest, &rest, 16); }
static bool more(void) { return rest[strspn(rest, " \r\n")]; }
static void *pointer(void) { return (void *)next(); }

static void open_or_close(bool open)
{
	struct hv_open o = {.role = HV_FRONTEND};
	int rc = 0;

	memset(port, 0, sizeof(port));
	if (open)
		rc = hv_open("xen", &o, &hv);
	else
		hv_close(hv);
	printf("@ %x", rc);
}

static void alloc(void)
{
	void *m;
	int rc = hv_alloc(hv, next(), &m);

	printf("@ %x %lx", rc, (unsigned long)m);
}

static void grant(void)
{
	struct hv_grant g[HV_BATCH_MAX];
	hv_domid_t dom = (hv_domid_t)next();
	size_t n = 0;
	int rc;

	for (; n < HV_BATCH_MAX && more(); n++) {
		g[n].page = pointer();
		g[n].ro = next();
	}
	rc = hv_grant(hv, dom, g, n);
	printf("@ %x", rc);
	for (size_t i = 0; i < n && !rc; i++)
		printf(" %x", g[i].gref);
}

static void ungrant(void)
{
	hv_gref_t g[HV_BATCH_MAX];
	int16_t st[HV_BATCH_MAX];
	size_t n = 0;

	while (n < HV_BATCH_MAX && more())
		g[n++] = (hv_gref_t)next();
	printf("@ %x", hv_ungrant(hv, g, n, st));
	for (size_t i = 0; i < n; i++)
		printf(" %x", st[i]);
}

static void new_port(void)
{
	unsigned i = 0;
	int rc;

	while (i < SLOTS - 1 && port[i])
		i++;
	rc = hv_port_alloc(hv, (hv_domid_t)next(), &port[i]);
	printf("@ %x %x %x", rc, i, rc ? 0 : hv_port_number(port[i]));
}

static void on_port(char op)
{
	uintptr_t i = next() % SLOTS;
	struct pollfd f = {.fd = hv_port_fd(port[i]), .events = POLLIN};
	int rc = 0;

	switch (op) {
	case 'n': rc = hv_port_notify(port[i]); break;
	case 'k': rc = hv_port_clear(port[i]); break;
	case 'q': rc = poll(&f, 1, 0); break;
	default: hv_port_close(port[i]), port[i] = NULL;
	}
	printf("@ %x", rc);
}

static void fill(void)
{
	void *at = pointer();
	int byte = (int)next();

	memset(at, byte, next());
}

static void obey(char *line)
{
	rest = line + 1;
	switch (line[0]) {
	case 'o':
	case 'c': open_or_close(line[0] == 'o'); break;
	case 'a': alloc(); break;
	case 'f': {
		void *m = pointer();

		printf("@ %x", hv_free(hv, m, next()));
		break;
	}
	case 's': fill(); return;
	case 'p': printf("@ %x", *(unsigned char *)pointer()); break;
	case 'g': grant(); break;
	case 'u': ungrant(); break;
	case 'b': new_port(); break;
	default: on_port(line[0]);
	}
	putchar('\n');
	fflush(stdout);
}

int main(void)
{
	struct termios t;
	char *line = NULL;
	size_t room = 0;

	if (tcgetattr(0, &t) == 0) {
		cfmakeraw(&t); /* no echo, and lines of any length */
		tcsetattr(0, TCSANOW, &t);
	}
	puts("\nAGENT");
	fflush(stdout);
	while (getline(&line, &room, stdin) > 0 && line[0] != '.')
		obey(line);
	free(line);
	return 0;
}
