#include "xenstore-glue/store/xs_server.h"

#include "ring/base/log.h"
#include "ring/os/fdmsg.h"
#include "ring/os/rundir.h"
#include "xenstore-glue/store/srv_priv.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_listen(struct loop_fd *w, uint32_t events)
{
	struct xs_server *s = CONTAINER_OF(w, struct xs_server, sock_w);
	int fd = accept4(s->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int rc;

	(void)events;
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			log_peer("a client can't be let in: %s", strerror(errno));
		return;
	}
	rc = srv_conn_add(s, fd, 0);
	if (rc < 0)
		log_peer("a client can't be let in: %s", strerror(-rc));
}

static int listen_clients(struct xs_server *s, const char *dir, mode_t mode)
{
	char path[PATH_MAX];
	int rc = rundir_file(dir, XS_SOCK, path, sizeof(path));

	if (rc < 0)
		return rc;
	s->sock = fdmsg_listen_stream(path, mode);
	if (s->sock < 0)
		return s->sock;
	/* A client that has gone again by the time of accept() must not stop the loop. */
	fcntl(s->sock, F_SETFL, fcntl(s->sock, F_GETFL) | O_NONBLOCK);
	return loop_fd_start(s->loop, &s->sock_w, s->sock, EPOLLIN, on_listen);
}

int xs_server_open(struct xs_server **out, struct loop *loop, struct xs_store *st, struct xs_log *log, const char *dir,
		   mode_t mode)
{
	struct xs_server *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->st = st;
	s->log = log;
	s->sock = s->hub_sock = -1;
	TAILQ_INIT(&s->conns);
	STAILQ_INIT(&s->dirty);
	LIST_INIT(&s->hubs);
	rc = srv_hub_listen(s, dir);
	if (rc == 0)
		rc = listen_clients(s, dir, mode);
	if (rc < 0) {
		xs_server_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void xs_server_close(struct xs_server *s)
{
	struct srv_conn *c;

	if (!s)
		return;
	srv_hub_close_all(s);
	loop_fd_stop(s->loop, &s->sock_w);
	if (s->sock >= 0)
		close(s->sock);
	TAILQ_FOREACH(c, &s->conns, link)
		srv_conn_close(c);
	srv_conn_reap(s);
	loop_timer_stop(s->loop, &s->credit_timer);
	free(s);
}
