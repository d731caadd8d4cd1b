/* arm FILE KIND K: from now on the K-th call of a kind (memory, fds, mmap, io, grants) fails; "none 0": none does.
 * arm FILE: says what became of it: the function that failed, or nothing; status 0 when one did. */
#include "tests/fail/failing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const kinds[FAIL_KINDS] = {"none", "memory", "fds", "mmap", "io", "grants"};

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
	struct failing *c;

	if (fd < 0 || ftruncate(fd, sizeof(*c)) < 0)
		return 2;
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c == MAP_FAILED)
		return 2;
	if (argc < 4) {
		printf("%.*s\n", (int)sizeof(c->where), c->where);
		return !c->fired;
	}
	c->kind = FAIL_NOTHING;
	c->count = c->fired = 0;
	memset(c->where, 0, sizeof(c->where));
	c->at = (uint32_t)atoi(argv[3]);
	for (uint32_t k = 0; k < FAIL_KINDS; k++)
		if (strcmp(argv[2], kinds[k]) == 0)
			__atomic_store_n(&c->kind, k, __ATOMIC_RELEASE);
	return 0;
}
