/* bulkhead-hub: plays the hypervisor of the local provider. The rules are in hub.c; here are memory, events, sockets. */
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/log.h"
#include "ring/hv/hub_store.h"
#include "ring/os/acceptor.h"
#include "ring/os/clock.h"
#include "ring/os/fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELLO_NS (5 * NS_PER_S)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

struct client {
	LIST_ENTRY(client) link;
	struct daemon *d;
	int sock;
	struct loop_fd watch;
	struct loop_timer hello;
	struct loop_work end;
	struct hub_conn *conn;
	bool ending;
};

struct daemon {
	struct loop *loop;
	struct hub *hub;
	struct hub_store store;
	struct acceptor acceptor;
	LIST_HEAD(, client) clients;
	char sock_path[PATH_MAX], store_path[PATH_MAX];
};

/* ---- what the rules ask for */

static int memfd(uint64_t bytes)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* an older kernel */
		fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* Sealed: nobody who has it can make another's access fault. Mode 0400: whoever has it read-only cannot open it
	 * again for writing. */
	if (ftruncate(fd, (off_t)bytes) < 0 || fchmod(fd, 0400) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int region_new(void *ctx, uint64_t bytes, int fd[2])
{
	char name[64];

	(void)ctx;
	fd[0] = memfd(bytes);
	if (fd[0] < 0)
		return fd[0];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd[0]);
	fd[1] = open(name, O_RDONLY | O_CLOEXEC);
	if (fd[1] >= 0)
		return 0;
	fd[1] = -errno;
	close(fd[0]);
	return fd[1];
}

static int table_new(void *ctx, uint64_t **words, int *fd)
{
	int both[2], rc = region_new(ctx, HUB_TABLE_BYTES, both);
	void *mem;

	if (rc)
		return rc;
	mem = mmap(NULL, HUB_TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, both[0], 0);
	close(both[0]);
	if (mem == MAP_FAILED) {
		close(both[1]);
		return -ENOMEM;
	}
	*words = mem;
	*fd = both[1];
	return 0;
}

static void table_end(void *ctx, uint64_t *words, int fd)
{
	(void)ctx;
	munmap(words, HUB_TABLE_BYTES);
	close(fd);
}

static int event_new(void *ctx, int *fd)
{
	(void)ctx;
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

static void fd_end(void *ctx, int fd)
{
	(void)ctx;
	close(fd);
}

static int store_conn(void *ctx, hv_domid_t dom, int *fd)
{
	return hub_store_connect(&((struct daemon *)ctx)->store, dom, fd);
}

static void on_domain(void *ctx, hv_domid_t dom, bool born)
{
	const struct hub_msg m = {.op = HUB_DOM_WATCH, .dom = dom, .arg = born};
	struct daemon *d = ctx;
	struct client *c;

	log_info("domain %u %s", dom, born ? "created" : "destroyed");
	hub_store_domain(&d->store, dom, born);
	/* A full socket is readable at the other end, and that is all the message says. */
	LIST_FOREACH(c, &d->clients, link)
		if (!c->ending && hub_conn_watches(c->conn))
			fdmsg_send(c->sock, &m, sizeof(m), NULL, 0);
}

/* ---- clients */

static void client_free(struct loop_work *w)
{
	struct client *c = CONTAINER_OF(w, struct client, end);

	hub_conn_end(c->d->hub, c->conn);
	LIST_REMOVE(c, link);
	close(c->sock);
	free(c);
}

static void client_end(struct client *c)
{
	if (c->ending)
		return;
	c->ending = true;
	loop_fd_stop(c->d->loop, &c->watch);
	loop_timer_stop(c->d->loop, &c->hello);
	loop_defer(c->d->loop, &c->end, client_free);
}

static void drop(void *ctx, void *owner)
{
	(void)ctx;
	client_end(owner);
}

static const struct hub_ops hub_ops = {
	.region_new = region_new,
	.table_new = table_new,
	.table_end = table_end,
	.event_new = event_new,
	.fd_end = fd_end,
	.store_conn = store_conn,
	.domain = on_domain,
	.drop = drop,
};

static void client_ready(struct loop_fd *w, uint32_t events)
{
	struct client *c = CONTAINER_OF(w, struct client, watch);
	static struct hub_reply r;
	static union hub_buf q;
	const struct hub_msg *m;
	ssize_t n;
	int rc;

	(void)events;
	n = fdmsg_recv(c->sock, &q, sizeof(q), NULL, NULL);
	if (n == -EAGAIN)
		return;
	m = n > 0 ? hub_decode(&q, (size_t)n) : NULL;
	if (n > 0 && (!m || hub_apply(c->d->hub, c->conn, m, &r))) {
		log_peer("a client sent nonsense and is disconnected");
		n = 0;
	}
	if (n <= 0) {
		client_end(c);
		return;
	}
	rc = fdmsg_send(c->sock, &r.buf, r.len, r.fds, r.nfds);
	if (r.give_away)
		close(r.fds[0]);
	if (rc) {
		if (rc != -EPIPE)
			log_warn("a client is disconnected, an answer did not get through: %s", err_str(rc));
		client_end(c);
		return;
	}
	if (hub_conn_said_hello(c->conn))
		loop_timer_stop(c->d->loop, &c->hello);
}

static void no_hello(struct loop_timer *t)
{
	client_end(CONTAINER_OF(t, struct client, hello));
}

static void client_new(struct daemon *d, int sock)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c) {
		c->d = d;
		c->sock = sock;
		c->conn = hub_conn_new(d->hub, c);
	}
	if (c && c->conn && loop_fd_start(d->loop, &c->watch, sock, EPOLLIN, client_ready) == 0) {
		LIST_INSERT_HEAD(&d->clients, c, link);
		loop_timer_start(d->loop, &c->hello, clock_now() + HELLO_NS, no_hello);
		return;
	}
	log_error("out of memory: a client is turned away");
	if (c && c->conn)
		hub_conn_end(d->hub, c->conn);
	free(c);
	close(sock);
}

static bool is_trusted(int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	if (cred.uid == 0 || cred.uid == geteuid())
		return true;
	log_peer("a connection of uid %u is refused", cred.uid);
	return false;
}

static void accepted(struct acceptor *a, int sock)
{
	if (is_trusted(sock))
		client_new(CONTAINER_OF(a, struct daemon, acceptor), sock);
	else
		close(sock);
}

/* ---- start and end */

static void raise_fd_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* One hub in a runtime directory; the lock lasts as long as the process. */
static int own_dir(struct daemon *d, const char *dir)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/hub.lock", dir) >= (int)sizeof(path) ||
	    snprintf(d->sock_path, sizeof(d->sock_path), "%s/" HUB_SOCK, dir) >= (int)sizeof(d->sock_path) ||
	    snprintf(d->store_path, sizeof(d->store_path), "%s/" HUB_STORE_SOCK, dir) >= (int)sizeof(d->store_path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	close(fd);
	return -EADDRINUSE;
}

static void on_end(int signo, void *arg)
{
	(void)signo;
	loop_stop(arg);
}

static int start(struct daemon *d, const char *dir)
{
	int rc = own_dir(d, dir);

	if (!rc)
		rc = loop_open(&d->loop);
	if (!rc)
		rc = loop_signal(d->loop, SIGTERM, on_end, d->loop);
	if (!rc)
		rc = loop_signal(d->loop, SIGINT, on_end, d->loop);
	if (rc)
		return rc;
	d->hub = hub_new(&hub_ops, d);
	if (!d->hub)
		return -ENOMEM;
	hub_store_start(&d->store, d->loop, d->hub, d->store_path);
	return acceptor_start(&d->acceptor, d->loop, fdmsg_listen(d->sock_path, 0600), accepted);
}

static void stop(struct daemon *d)
{
	struct client *c;

	unlink(d->sock_path);
	acceptor_stop(&d->acceptor);
	LIST_FOREACH(c, &d->clients, link)
		client_end(c);
	loop_once(d->loop, 0);
	hub_store_stop(&d->store);
	hub_free(d->hub);
	loop_close(d->loop);
}

static const char usage[] =
	"usage: bulkhead-hub --runtime-dir DIR [--verbose]\n"
	"Plays the hypervisor for the local provider: owns the guests' memory, grants and event channels.\n"
	"Listens on DIR/" HUB_SOCK "; ends with SIGTERM, and all guests with it.\n";

int main(int argc, char **argv)
{
	static const struct option opts[] = {
		{"runtime-dir", required_argument, NULL, 'r'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	static struct daemon d;
	const char *dir = NULL;
	enum log_level level = LOG_LVL_INFO;
	int o, rc;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (o == 'r') {
			dir = optarg;
		} else if (o == 'v') {
			level = LOG_LVL_DEBUG;
		} else {
			fputs(usage, o == 'h' ? stdout : stderr);
			return o == 'h' ? EXIT_DONE : EXIT_USAGE;
		}
	}
	if (!dir || optind != argc) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	log_init("bulkhead-hub", level);
	raise_fd_limit();
	rc = start(&d, dir);
	if (rc) {
		log_error("cannot serve %s: %s", dir,
			  rc == -EADDRINUSE ? "another bulkhead-hub does; end that one first" : err_str(rc));
		return rc == -EADDRINUSE ? EXIT_PERMANENT : EXIT_USAGE;
	}
	rc = loop_run(d.loop);
	stop(&d);
	return rc ? EXIT_TEMPORARY : EXIT_DONE;
}
