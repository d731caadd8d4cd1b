/* Packets to the keeper, of any bytes, length and descriptors: it holds what was put under a name and nothing else, gives it
 * back, and no descriptor is lost or kept by mistake. */
#include "recovery/super/keep.h"
#include "ring/os/fdmsg.h"
#include "tests/fuzz/input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NCLIENTS 3u
#define NNAMES 8u

static struct loop *loop;
static char path[] = "/dev/shm/bulkhead-fuzz-keep-XXXXXX";
static unsigned stops;
static int null_fd = -1;
static unsigned held[NNAMES]; /* descriptors of each name, as they should be */

static void on_stop(void *arg) { (void)arg, stops++; }

static void enter(void)
{
	int fd;

	if (null_fd >= 0)
		return;
	fd = mkstemp(path);
	CHECK(fd >= 0 && close(fd) == 0);
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(null_fd >= 0);
}

/* Of the whole process. */
static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	CHECK(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static unsigned sum(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NNAMES; i++)
		n += held[i];
	return n;
}

/* What the keeper says must be what the model has. */
static void check_reply(int fd, const struct keep_msg *m, unsigned name, size_t nfds, bool named)
{
	int got[FDMSG_MAX_FDS];
	size_t n = FDMSG_MAX_FDS;
	struct keep_msg r;

	CHECK(fdmsg_recv(fd, &r, sizeof(r), got, &n) == sizeof(r));
	for (size_t i = 0; i < n; i++)
		close(got[i]);
	CHECK(r.op == m->op && memchr(r.name, '\0', sizeof(r.name)));
	CHECK(n == 0 || m->op == KEEP_GET);
	if (!named)
		return;
	if (m->op == KEEP_PUT && r.rc == 0)
		held[name] = (unsigned)nfds;
	if (m->op == KEEP_DROP)
		held[name] = 0;
	if (m->op == KEEP_GET)
		CHECK(n == held[name] && r.rc == (n ? 0 : -ENOENT));
	if (m->op == KEEP_PUT)
		CHECK(r.rc == (nfds ? 0 : -EINVAL));
}

static int packet(int fd, struct input *in)
{
	unsigned what = (unsigned)take(in, 1), how = (unsigned)take(in, 1), name = how % NNAMES;
	struct keep_msg m = {.op = what % 7, .arg = how};
	size_t nfds = what / 8 % 4, len = sizeof(m);
	int fds[FDMSG_MAX_FDS];
	bool named = !(what & 0x80), cut = (what & 0x60) == 0x60;

	if ((what & 0x60) == 0x40)
		nfds = how % (FDMSG_MAX_FDS + 1);
	for (size_t i = 0; i < nfds; i++)
		fds[i] = null_fd;
	m.name[0] = (char)('A' + name);
	if (!named && m.op != KEEP_PUT && m.op != KEEP_DROP) /* names that the model does not know are only asked for */
		take_bytes(in, m.name, sizeof(m.name));
	else if (!named)
		m.name[0] = '\0';
	if (cut)
		len = how % sizeof(m);
	CHECK(fdmsg_send(fd, &m, len, fds, nfds) == 0);
	CHECK(loop_once(loop, 0) == 0 && loop_once(loop, 0) == 0);
	if (cut)
		return -1;
	check_reply(fd, &m, name, MIN(nfds, (size_t)KEEP_FDS_MAX), named); /* what is too much is closed at once */
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 1024u)};
	int fd[NCLIENTS] = {-1, -1, -1};
	unsigned before, empty, clients = 0;
	struct keep *k;

	enter();
	memset(held, 0, sizeof(held));
	unlink(path);
	before = open_fds();
	CHECK(loop_open(&loop) == 0 && keep_open(loop, path, on_stop, NULL, &k) == 0);
	empty = open_fds();
	while (in.left) {
		unsigned i = (unsigned)take(&in, 1) % NCLIENTS;

		if (fd[i] < 0)
			fd[i] = fdmsg_connect(path);
		CHECK(fd[i] >= 0);
		if (packet(fd[i], &in) < 0) {
			close(fd[i]);
			fd[i] = -1;
		}
	}
	CHECK(loop_once(loop, 0) == 0 && loop_once(loop, 0) == 0);
	for (unsigned i = 0; i < NCLIENTS; i++)
		clients += fd[i] >= 0;
	CHECK(open_fds() == empty + 2 * clients + sum());
	keep_close(k);
	loop_close(loop);
	for (unsigned i = 0; i < NCLIENTS; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	CHECK(open_fds() == before);
	unlink(path);
	return 0;
}
