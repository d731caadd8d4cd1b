#include "ring/os/wire.h"

#include "ring/os/fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIRE_MAGIC 0x45524957u
#define WIRE_VERSION 1u

enum { FD_MEM, FD_BELL0, FD_BELL1, FDS };

struct wire_end {
	uint32_t magic, side;
};

static void close_all(const int *fd, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

static int make_memory(uint64_t bytes)
{
	const struct wire_mem m = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .bytes = bytes};
	int fd = memfd_create("bulkhead-wire", MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)(BH_PAGE_SIZE + 2 * bytes)) == 0 && pwrite(fd, &m, sizeof(m), 0) == sizeof(m) &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* What is sent on one end lies in the queue of the other. */
static int park(const int end[2], const int *fd)
{
	int rc = 0;

	for (uint32_t side = 0; side < 2 && !rc; side++) {
		const struct wire_end e = {WIRE_MAGIC, side};

		rc = fdmsg_send(end[1 - side], &e, sizeof(e), fd, FDS);
	}
	return rc;
}

int wire_make(uint64_t bytes, int end[2])
{
	int fd[FDS], rc;

	if (!IS_POW2(bytes) || bytes < WIRE_BYTES_MIN || bytes > WIRE_BYTES_MAX)
		return -EINVAL;
	fd[FD_MEM] = make_memory(bytes);
	if (fd[FD_MEM] < 0)
		return fd[FD_MEM];
	fd[FD_BELL0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fd[FD_BELL1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	end[0] = end[1] = -1;
	rc = fd[FD_BELL0] < 0 || fd[FD_BELL1] < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, end) ? -errno : 0;
	if (!rc)
		rc = park(end, fd);
	if (rc)
		close_all(end, 2);
	close_all(fd, FDS);
	return rc;
}

static int map(int fd, uint64_t *bytes, struct wire_mem **out)
{
	struct wire_mem head;
	struct stat st;
	void *mem;

	if (fstat(fd, &st) || pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.magic != WIRE_MAGIC ||
	    head.version != WIRE_VERSION || !IS_POW2(head.bytes) || head.bytes < WIRE_BYTES_MIN ||
	    head.bytes > WIRE_BYTES_MAX || (uint64_t)st.st_size != BH_PAGE_SIZE + 2 * head.bytes ||
	    !(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK))
		return -EINVAL;
	mem = mmap(NULL, BH_PAGE_SIZE + 2 * head.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	*bytes = head.bytes;
	*out = mem;
	return 0;
}

int wire_open(int end, struct wire *out)
{
	int fd[FDS] = {-1, -1, -1}, rc;
	size_t n = FDS;
	struct wire_end e = {0};
	ssize_t len = fdmsg_peek(end, &e, sizeof(e), fd, &n);

	memset(out, 0, sizeof(*out));
	if (len < 0 && len != -EMSGSIZE && len != -EAGAIN)
		return (int)len;
	if (len != sizeof(e) || n != FDS || e.magic != WIRE_MAGIC || e.side > 1)
		rc = -EINVAL;
	else
		rc = map(fd[FD_MEM], &out->bytes, &out->mem);
	if (rc) {
		close_all(fd, FDS);
		return rc;
	}
	close(fd[FD_MEM]);
	out->side = e.side;
	out->bell = fd[FD_BELL0 + e.side];
	out->peers_bell = fd[FD_BELL1 - e.side];
	return 0;
}

void wire_close(struct wire *w)
{
	munmap(w->mem, BH_PAGE_SIZE + 2 * w->bytes);
	close(w->bell);
	close(w->peers_bell);
}

void wire_ring(int bell)
{
	const uint64_t one = 1;

	if (write(bell, &one, sizeof(one)) < 0)
		return; /* EAGAIN: it is rung */
}
