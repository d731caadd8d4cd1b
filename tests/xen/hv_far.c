#include "tests/xen/hv_far.h"

#include "ring/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

struct far_port {
	struct hv_port p;
	unsigned slot;
};

static int tty = -1;
static char line[16384], *rest;

static long next(void) { return (int)strtoul(rest, &rest, 16); }
static unsigned slot(const struct hv_port *p) { return ((const struct far_port *)p)->slot; }

static void put(const char *text, size_t n)
{
	while (n) {
		ssize_t k = write(tty, text, n);

		CHECK(k > 0);
		text += k;
		n -= (size_t)k;
	}
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	char text[16384];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	CHECK(n > 0 && (size_t)n < sizeof(text));
	put(text, (size_t)n);
}

/* The answer to what was said: its first number; the others are next()'s. */
static long answer(void)
{
	struct pollfd f = {.fd = tty, .events = POLLIN};
	size_t n = 0;

	for (;;) {
		CHECK(n < sizeof(line) - 1 && poll(&f, 1, 20000) == 1 && read(tty, line + n, 1) == 1);
		if (line[n] != '\n') {
			n += line[n] != '\r';
			continue;
		}
		line[n] = '\0';
		if (line[0] == '@')
			break;
		n = 0; /* somebody else's word */
	}
	rest = line + 1;
	return next();
}

static int op_alloc(struct hv *hv, size_t npages, void **out)
{
	int rc;

	(void)hv;
	say("a %zx\n", npages);
	rc = (int)answer();
	*out = (void *)strtoull(rest, NULL, 16);
	return rc;
}

static int op_free(struct hv *hv, void *mem, size_t npages)
{
	(void)hv;
	say("f %lx %zx\n", (unsigned long)mem, npages);
	return (int)answer();
}

static int op_grant(struct hv *hv, hv_domid_t dom, struct hv_grant *g, size_t n)
{
	int rc;

	(void)hv;
	say("g %x", dom);
	for (size_t i = 0; i < n; i++)
		say(" %lx %x", (unsigned long)g[i].page, g[i].ro);
	say("\n");
	rc = (int)answer();
	for (size_t i = 0; i < n && !rc; i++)
		g[i].gref = (hv_gref_t)next();
	return rc;
}

static int op_ungrant(struct hv *hv, const hv_gref_t *grefs, size_t n, int16_t *status)
{
	(void)hv;
	say("u");
	for (size_t i = 0; i < n; i++)
		say(" %x", grefs[i]);
	say("\n");
	answer();
	for (size_t i = 0; i < n; i++)
		status[i] = (int16_t)next();
	return 0;
}

static int op_port_alloc(struct hv *hv, hv_domid_t dom, struct hv_port **out)
{
	struct far_port *p = calloc(1, sizeof(*p));
	int rc;

	CHECK(p);
	say("b %x\n", dom);
	rc = (int)answer();
	if (rc) {
		free(p);
		return rc;
	}
	p->slot = (unsigned)next();
	p->p = (struct hv_port){.hv = hv, .number = (hv_evtchn_t)next()};
	*out = &p->p;
	return 0;
}

static int on_port(const struct hv_port *p, char op)
{
	say("%c %x\n", op, slot(p));
	return (int)answer();
}

static int op_port_fd(const struct hv_port *p)
{
	(void)p;
	return -1;
}

static int op_port_notify(struct hv_port *p) { return on_port(p, 'n'); }
static int op_port_clear(struct hv_port *p) { return on_port(p, 'k'); }

static void op_port_close(struct hv_port *p)
{
	on_port(p, 'x');
	free(p);
}

static void op_close(struct hv *hv)
{
	say("c\n");
	answer();
	free(hv);
}

static const struct hv_ops ops = {
	.name = "far",
	.close = op_close,
	.alloc = op_alloc,
	.free = op_free,
	.grant = op_grant,
	.ungrant = op_ungrant,
	.port_alloc = op_port_alloc,
	.port_fd = op_port_fd,
	.port_notify = op_port_notify,
	.port_clear = op_port_clear,
	.port_close = op_port_close,
};

int hv_far_connect(const char *path)
{
	struct termios t;

	tty = open(path, O_RDWR | O_NOCTTY);
	if (tty < 0 || tcgetattr(tty, &t))
		return -errno;
	cfmakeraw(&t);
	tcsetattr(tty, TCSANOW, &t);
	return tcflush(tty, TCIFLUSH) ? -errno : 0; /* what the guest said before */
}

int hv_far_open(const struct hv_open *o, struct hv **out)
{
	struct hv *hv = calloc(1, sizeof(*hv));
	int rc;

	CHECK(hv);
	say("o\n");
	rc = (int)answer();
	if (rc) {
		free(hv);
		return rc;
	}
	hv_setup(hv, &ops, o, o->self);
	*out = hv;
	return 0;
}

char hv_far_peek(const char *at)
{
	say("p %lx\n", (unsigned long)at);
	return (char)answer();
}

void hv_far_fill(char *at, char byte, size_t n) { say("s %lx %x %zx\n", (unsigned long)at, (unsigned char)byte, n); }
bool hv_far_pending(const struct hv_port *p) { return on_port(p, 'q') == 1; }
void hv_far_end(void) { say(".\n"); }
