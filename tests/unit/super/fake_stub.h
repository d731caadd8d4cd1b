/* fake_stub.h - a stub that serves no ring: it keeps the supervisor's rules of start, journal, control socket and pokes,
 * and misbehaves when its spec says so. For tests of the supervisor alone; included once.
 *   mem:SIZE[,die=start]      exits at once with status 1
 *   mem:SIZE[,deaf=1]         its worker neither turns nor answers a poke
 *   mem:SIZE[,broken=1]       says BROKEN after CONNECTED
 *   mem:SIZE[,idle=1]         never counts a request as answered
 * That of a vif counts 10 control messages, or 11, as it was told of multicast, and takes a rate of 13000 bytes for the word that its guest takes no packets, of any other that it does again.
 */
#ifndef BULKHEAD_TESTS_FAKE_STUB_H
#define BULKHEAD_TESTS_FAKE_STUB_H

#include "recovery/journal/njrnl_fmt.h"
#include "ring/base/pm.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"
#include "ring/os/stub_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct stub_start *fake_record(void)
{
	struct stat st;
	void *p;

	if (fstat(STUB_FD_RECORD, &st) < 0)
		_exit(101);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, STUB_FD_RECORD, 0);
	if (p == MAP_FAILED || st.st_size < (off_t)stub_start_bytes(1))
		_exit(102);
	return p;
}

static void fake_say(const struct stub_start *s, uint32_t type, uint64_t generation, uint64_t arg)
{
	for (uint32_t i = 0; i < s->ndevs; i++) {
		struct stub_msg m = {.type = type, .dev = i, .serial = s->dev[i].serial, .generation = generation, .arg = {arg}};

		if (type == STUB_RESUMED)
			m.at[STUB_AT_UP] = clock_now();
		snprintf(m.text, sizeof(m.text), "said by the fake stub");
		fdmsg_send(STUB_FD_CTL, &m, sizeof(m), NULL, 0);
	}
}

static int fake_probe(void)
{
	struct stub_start *s = fake_record();
	struct stub_probe p = {.sectors = 2048, .sector_size = 512, .physical_size = 512, .flush = 1};
	struct stub_msg m = {.type = STUB_FAILED, .text = "the fake does not like this"};

	if (strstr(s->dev[0].spec, "bad"))
		return fdmsg_send(STUB_FD_CTL, &m, sizeof(m), NULL, 0) ? 1 : 100;
	return fdmsg_send(STUB_FD_CTL, &p, sizeof(p), NULL, 0) ? 1 : 0;
}

static bool fake_vif(const struct stub_dev *d) { return d->conn.type == CONN_VIF; }

static off_t fake_journal_bytes(const struct stub_dev *d)
{
	return (off_t)(fake_vif(d) ? njrnl_file_bytes(d->conn.nqueues) : jrnl_file_bytes(32 * d->conn.ring_pages, d->conn.nqueues));
}

static uint64_t *fake_ctrl(char *map) { return &((struct njrnl_queue *)(void *)(map + njrnl_queue_offset(0)))->net.ctrl; }

/* Waits for the journal's lock, then takes it over; the generation it now has. */
static uint64_t fake_own(const struct stub_dev *d, char **map)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(d->journal, O_RDWR | O_CLOEXEC);
	struct jrnl_hdr *h;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != fake_journal_bytes(d) ||
	    fcntl(fd, F_OFD_SETLKW, &fl) < 0)
		_exit(103);
	*map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	h = (struct jrnl_hdr *)(void *)*map;
	if (d->kind == STUB_RESUME) {
		if (h->valid != JRNL_VALID || memcmp(&h->conn, &d->conn, sizeof(h->conn)) != 0)
			_exit(STUB_EXIT_MISMATCH);
	} else {
		h->magic = fake_vif(d) ? NJRNL_MAGIC : JRNL_MAGIC;
		h->conn = d->conn;
	}
	if (fake_vif(d))
		pm_stat64(fake_ctrl(*map), 0);
	h->generation = JRNL_GENERATION(JRNL_GENERATION_OF(h->generation) + 1);
	h->valid = JRNL_VALID;
	return JRNL_GENERATION_OF(h->generation);
}

static struct jrnl_stats *fake_stats(const struct stub_dev *d, char *map, uint32_t q)
{
	uint64_t at = fake_vif(d) ? njrnl_queue_offset(q) : jrnl_queue_offset(32 * d->conn.ring_pages, q);

	return &((struct jrnl_queue *)(void *)(map + at))->stats;
}

static void fake_poke(int fd)
{
	char c;

	if (read(fd, &c, 1) == 1 && write(fd, &c, 1) != 1)
		_exit(104);
}

/* Until DRAIN. */
static void fake_serve(const struct stub_start *s, char **map)
{
	for (;;) {
		struct pollfd p[1 + 4] = {{.fd = STUB_FD_CTL, .events = POLLIN}};
		uint32_t n = 0;
		struct stub_msg m;

		for (; n < s->ndevs && n < 4; n++)
			p[1 + n] = (struct pollfd){.fd = strstr(s->dev[n].spec, "deaf") ? -1 : s->dev[n].q[0].poke_fd,
						   .events = POLLIN};
		poll(p, 1 + n, 10);
		for (uint32_t i = 0; i < n; i++) {
			struct jrnl_stats *st = fake_stats(&s->dev[i], map[i], 0);

			if (p[1 + i].revents & POLLIN) {
				fake_poke(p[1 + i].fd);
				if (fake_vif(&s->dev[i]))
					pm_stat64(fake_ctrl(map[i]), *fake_ctrl(map[i]) + 100);
			}
			if (!strstr(s->dev[i].spec, "deaf") && !strstr(s->dev[i].spec, "asleep"))
				pm_stat64(&st->turn, st->turn + 2);
			if (!strstr(s->dev[i].spec, "idle"))
				pm_stat64(&st->requests, st->requests + 1);
		}
		if (!(p[0].revents & POLLIN) || fdmsg_recv(STUB_FD_CTL, &m, sizeof(m), NULL, NULL) != sizeof(m))
			continue;
		if (m.type == STUB_RATE)
			fake_say(s, STUB_CARRIER, 0, m.arg[0] != 13000);
		if (m.type == STUB_MULTICAST)
			pm_stat64(fake_ctrl(map[m.dev]), 10 + m.arg[0]);
		if (m.type == STUB_DRAIN) {
			fake_say(s, STUB_DRAINED, 0, 0);
			_exit(STUB_EXIT_DRAINED);
		}
	}
}

/* A standby, until it is told to go. */
static void fake_wait(const struct stub_start *s)
{
	struct stub_msg m = {0};

	while (m.type != STUB_GO) {
		struct pollfd p[1 + 4] = {{.fd = STUB_FD_CTL, .events = POLLIN}};
		uint32_t n = 0;

		for (; n < s->ndevs && n < 4; n++)
			p[1 + n] = (struct pollfd){.fd = s->dev[n].q[0].poke_fd, .events = POLLIN};
		poll(p, 1 + n, -1);
		for (uint32_t i = 0; i < n; i++)
			if (p[1 + i].revents & POLLIN)
				fake_poke(p[1 + i].fd);
		if (p[0].revents && fdmsg_recv(STUB_FD_CTL, &m, sizeof(m), NULL, NULL) != sizeof(m))
			_exit(111);
	}
}

static int fake_stub(void)
{
	struct stub_start *s = fake_record();
	char *map[STUB_DEVS_MAX];
	uint64_t generation = 0;
	struct stub_msg m;

	if (strstr(s->dev[0].spec, "die=start"))
		return 1;
	if (s->standby) {
		fake_say(s, STUB_READY, 0, 0);
		fake_wait(s);
	}
	for (uint32_t i = 0; i < s->ndevs; i++) {
		generation = fake_own(&s->dev[i], &map[i]);
		m = (struct stub_msg){.type = s->dev[i].kind == STUB_FRESH ? STUB_CONNECTED : STUB_RESUMED,
				      .dev = i, .serial = s->dev[i].serial, .generation = generation};
		m.at[STUB_AT_UP] = clock_now();
		fdmsg_send(STUB_FD_CTL, &m, sizeof(m), NULL, 0);
	}
	if (strstr(s->dev[0].spec, "broken"))
		fake_say(s, STUB_BROKEN, generation, STUB_BROKEN_RING);
	fake_serve(s, map);
	return 0;
}

/* To be called first in main(): true and *status when this process is a stub. */
static int fake_stub_main(int argc, char **argv, int *status)
{
	const char *slash = strrchr(argv[0], '/');

	if (strcmp(slash ? slash + 1 : argv[0], "bulkhead-blk") != 0 && strcmp(slash ? slash + 1 : argv[0], "bulkhead-net") != 0)
		return 0;
	*status = argc > 1 && strcmp(argv[1], "--probe") == 0 ? fake_probe() : fake_stub();
	return 1;
}

#endif
