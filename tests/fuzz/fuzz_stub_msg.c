/* What a hostile stub says to the supervisor: packets of any bytes, of devices it has and has not, at any time of its life.
 * Only its own devices hear of it, their texts stay printable, and each comes up once. The rest of the supervisor is this
 * file: it plays the devices' states by the real table. */
#include "recovery/super/sup_priv.h"
#include "tests/fuzz/input.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NDEVS 3u

static struct sup_dev devs[NDEVS];
static struct sup_group group;
static struct sup_proc *procs[2]; /* active, standby */
static int theirs[2];		  /* their ends of the control sockets */
static unsigned ups[NDEVS], readies;

static void check_text(const char *text, size_t size)
{
	CHECK(memchr(text, '\0', size));
	for (const char *c = text; *c; c++)
		CHECK(*c >= ' ' && *c <= '~');
}

static unsigned number_of(const struct sup_dev *d)
{
	CHECK(d >= devs && d < devs + NDEVS);
	return (unsigned)(d - devs);
}

void sup_dev_event(struct sup_dev *d, enum sup_event ev)
{
	const struct sup_edge *e = sup_fsm(d->state, ev);

	if (ev == SUP_EV_CONNECTED || ev == SUP_EV_RESUMED)
		CHECK(++ups[number_of(d)] == 1);
	if (e)
		d->state = e->next;
	CHECK(d->state < CTL_STATE_COUNT);
}

void sup_dev_save(struct sup_dev *d) { number_of(d); }

void sup_dev_text(struct sup_dev *d, const char *fmt, ...)
{
	va_list ap;

	number_of(d);
	va_start(ap, fmt);
	vsnprintf(d->text, sizeof(d->text), fmt, ap);
	va_end(ap);
	check_text(d->text, sizeof(d->text));
}

void sup_note(struct sup_dev *d, enum ctl_event_kind kind, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	CHECK(kind < CTL_EV_COUNT);
	number_of(d);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check_text(text, sizeof(text));
}

void sup_note_event(struct sup *s, struct ctl_event *e, enum sup_loudness how)
{
	(void)s, (void)how;
	check_text(e->text, sizeof(e->text));
	check_text(e->vdev, sizeof(e->vdev));
}

void sup_proc_deadline(struct sup_proc *p, uint64_t ns)
{
	CHECK(p == procs[0] && ns == 0);
}

void sup_resize_serves(struct sup_dev *d, uint64_t sectors UNUSED) { number_of(d); }
void sup_resize_said(struct sup_dev *d, const struct stub_msg *m) { check_text(m->text, sizeof(m->text)), number_of(d); }

void sup_watch_start(struct sup_proc *p) { CHECK(p == procs[0]); }

void sup_group_ready(struct sup_group *g)
{
	CHECK(g == &group && procs[1]->ready && ++readies == 1);
	for (unsigned i = 0; i < procs[1]->ndevs; i++)
		CHECK(procs[1]->dev[i].said);
}

uint64_t sup_journal_generation(const struct sup_dev *d) { return number_of(d); }

static const struct sup_class plain = {.type = CONN_VBD, .name = "vbd"};

static void make_proc(unsigned which)
{
	struct sup_proc *p = calloc(1, sizeof(*p) + NDEVS * sizeof(p->dev[0]));
	int s[2];

	CHECK(p && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) == 0);
	p->group = &group;
	p->ctl = s[0];
	p->pid = 1;
	p->ndevs = NDEVS;
	p->standby = which == 1;
	for (unsigned i = 0; i < NDEVS; i++)
		p->dev[i].dev = &devs[i];
	theirs[which] = s[1];
	procs[which] = p;
}

static void say(struct input *in)
{
	unsigned how = (unsigned)take(in, 1), which = how & 1;
	struct stub_msg m = {.type = (uint32_t)take(in, 1), .dev = how / 2 % 4, .serial = 100 + how / 2 % 4, .generation = 7};
	struct sup_dev before[NDEVS];
	char buf[sizeof(m) + 8];
	size_t n = sizeof(m);

	if (how & 0x10)
		m.serial = take(in, 8);
	if (how & 0x20)
		m.dev = (uint32_t)take(in, 4);
	take_bytes(in, m.arg, how & 0x40 ? sizeof(m.arg) : 1);
	memset(m.text, 'x', how & 8 ? sizeof(m.text) : 3);
	take_bytes(in, m.text, take(in, 1) % 16);
	memcpy(buf, &m, sizeof(m));
	if (how & 0x80)
		n = take(in, 1) % (sizeof(buf) + 1);
	CHECK(send(theirs[which], buf, n, MSG_NOSIGNAL) >= -1);
	memcpy(before, devs, sizeof(before));
	if (take(in, 1) & 1)
		sup_msg_ready(&procs[which]->on_msg, EPOLLIN);
	else
		sup_msg_drain(procs[which]);
	CHECK(n == sizeof(m) || !memcmp(before, devs, sizeof(before))); /* of another length it means nothing */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 2048u)};
	unsigned how = (unsigned)take(&in, 1);

	memset(devs, 0, sizeof(devs));
	memset(ups, 0, sizeof(ups));
	memset(&group, 0, sizeof(group));
	readies = 0;
	for (unsigned i = 0; i < 2; i++)
		make_proc(i);
	group.active = procs[0];
	group.standby = procs[1];
	for (unsigned i = 0; i < NDEVS; i++) {
		devs[i] = (struct sup_dev){.class = &plain, .serial = 100 + i, .state = how % CTL_STATE_COUNT, .connected = how & 0x10,
					   .vdev = "xvda", .died_at = how & 0x20 ? 5 : 0};
		if (how & 0x40 && i == 1)
			procs[0]->dev[i].dev = NULL; /* it has left */
	}
	while (in.left)
		say(&in);
	for (unsigned i = 0; i < 2; i++) {
		check_text(procs[i]->why, sizeof(procs[i]->why));
		close(theirs[i]);
		close(procs[i]->ctl);
		free(procs[i]);
	}
	return 0;
}
