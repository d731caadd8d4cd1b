#include "xenstore-glue/store/xs_server.h"

#include "ring/base/log.h"
#include "ring/os/fdmsg.h"
#include "ring/os/rundir.h"
#include "xenstore-glue/store/srv_priv.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void accepted(struct acceptor *a, int fd)
{
	int rc = srv_conn_add(CONTAINER_OF(a, struct xs_server, clients), fd, 0);

	if (rc < 0)
		log_peer("a client can't be let in: %s", strerror(-rc));
}

static int listen_clients(struct xs_server *s, const char *dir, mode_t mode)
{
	char path[PATH_MAX];
	int rc = rundir_file(dir, XS_SOCK, path, sizeof(path));

	if (rc < 0)
		return rc;
	return acceptor_start(&s->clients, s->loop, fdmsg_listen_stream(path, mode), accepted);
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
	acceptor_stop(&s->clients);
	TAILQ_FOREACH(c, &s->conns, link)
		srv_conn_close(c);
	srv_conn_reap(s);
	loop_timer_stop(s->loop, &s->credit_timer);
	free(s);
}
