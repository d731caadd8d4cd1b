#include "backend/core/be_blank.h"

#include "backend/core/be_worker.h"
#include "ring/base/base.h"
#include "ring/os/fdmsg.h"
#include "ring/os/sandbox.h"
#include "ring/os/sandbox_calls.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define HEAP_BYTES ((size_t)112 << 10) /* below M_MMAP_THRESHOLD, and what a device with one small queue takes */

/* Memory that a device will need is faulted in before anybody waits for it: free() keeps the heap, and a thread that has ended leaves
 * its stack to the next one. The filter of system calls is made as well, for the provider that is probable. Best effort. */
static void warm_up(void)
{
	void *heap = malloc(HEAP_BYTES);

	sandbox_calls_prepare(xen_host_here(""));
	if (heap)
		explicit_bzero(heap, HEAP_BYTES);
	free(heap);
	be_worker_warm_up();
}

int be_blank_wait(const char *name, struct be_blank *b)
{
	const struct stub_msg here = {.type = STUB_BLANK};
	const struct sandbox box = {0};
	size_t n = STUB_ADOPT_FDS;
	ssize_t got;
	int rc = sandbox_enter(SANDBOX_BOUNDING, &box); /* what can be given up already */

	prctl(PR_SET_NAME, "bulkhead-blank");
	warm_up();
	if (!rc)
		rc = fdmsg_send(STUB_FD_CTL, &here, sizeof(here), NULL, 0);
	if (rc)
		return rc;
	got = fdmsg_recv(STUB_FD_CTL, &b->given, sizeof(b->given), b->fd, &n);
	prctl(PR_SET_NAME, name);
	if (got != (ssize_t)sizeof(b->given) || n == 0 || n != b->given.nfds)
		return got < 0 ? (int)got : -EPIPE;
	return 0;
}

static int renumber(const struct be_blank *b, int32_t *fd)
{
	if (*fd == -1)
		return 0;
	for (uint32_t i = 1; i < b->given.nfds; i++)
		if (b->given.number[i] == *fd) {
			*fd = b->fd[i];
			return 0;
		}
	return -EINVAL;
}

static int renumber_port(const struct be_blank *b, struct stub_port *p)
{
	int rc = 0;

	for (uint32_t k = 0; !rc && k < p->nfds; k++)
		rc = renumber(b, &p->fd[k]);
	return rc;
}

static int renumber_queue(const struct be_blank *b, struct stub_queue *q)
{
	int rc = renumber(b, &q->poke_fd);

	if (!rc)
		rc = renumber(b, &q->net_fd);
	if (!rc)
		rc = renumber_port(b, &q->port);
	return rc ? rc : renumber_port(b, &q->port_rx);
}

int be_blank_renumber(const struct be_blank *b, struct stub_start *s)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < s->ndevs; i++) {
		struct stub_dev *d = &s->dev[i];

		rc = renumber(b, &d->image_fd);
		if (!rc)
			rc = renumber_port(b, &d->ctrl);
		if (!rc && d->conn.type == CONN_VIF)
			rc = renumber(b, &d->steer_fd);
		for (uint32_t q = 0; !rc && q < d->conn.nqueues; q++)
			rc = renumber_queue(b, &d->q[q]);
	}
	return rc;
}
