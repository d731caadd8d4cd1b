/* crash_mem.c - linked by --wrap=mmap,--wrap=munmap into the crash tests: a backend reserves 16 MiB for each queue's buffers, whose
 * few pages would be faulted in anew for each of millions of processes. What was given back is given out again, as it is. */
#include <stddef.h>
#include <sys/mman.h>

#define KEEP 64
#define LEN (16u << 20)

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __real_munmap(void *addr, size_t len);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_munmap(void *addr, size_t len);

static void *kept[KEEP];
static unsigned nkept;

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	return len == LEN && nkept ? kept[--nkept] : __real_mmap(addr, len, prot, flags, fd, off);
}

int __wrap_munmap(void *addr, size_t len)
{
	if (len != LEN || nkept == KEEP)
		return __real_munmap(addr, len);
	kept[nkept++] = addr;
	return 0;
}
