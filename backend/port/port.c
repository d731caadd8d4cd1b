#include "backend/port/port_priv.h"
#include "ring/base/check.h"
#include "ring/base/err.h"
#include "ring/base/net_spec.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct netport_ops *const kinds[] = {&netport_tap_ops, &netport_pair_ops, &netport_null_ops};

void netport_no_kick(struct netport_queue *q UNUSED) {}
uint64_t netport_never_due(const struct netport_queue *q UNUSED) { return UINT64_MAX; }

static int find(const char *text, struct spec *s, const struct netport_ops **ops, char *err, size_t size)
{
	if (!text || spec_parse_short(text, s))
		return err_say(err, size, -EINVAL, "\"%.60s\" names no netport: use tap, pair or null", text ? text : "");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i]->name, s->engine) == 0) {
			*ops = kinds[i];
			return 0;
		}
	return err_say(err, size, -EINVAL, "%.60s: there is no netport \"%s\": use tap, pair or null", text, s->engine);
}

static int open_stack(const struct netport_open *o, int *fd, struct netport **out, char *err, size_t size)
{
	const struct netport_ops *ops = NULL;
	struct spec s;
	int rc = find(o->spec, &s, &ops, err, size);

	if (!rc)
		rc = net_spec_check(&s, err, size);
	if (!rc)
		rc = ops->open(o, &s, fd, out, err, size);
	if (rc)
		return rc;
	rc = netport_filter_stack(&s, out, err, size);
	if (rc) {
		netport_close(*out);
		*out = NULL;
	}
	return rc;
}

int netport_open(const struct netport_open *o, struct netport **out, char *err, size_t size)
{
	int *fd = malloc(o->queues * sizeof(*fd)), rc;

	CHECK(o->queues > 0 && fd);
	*out = NULL;
	if (size)
		err[0] = '\0';
	for (unsigned i = 0; i < o->queues; i++)
		fd[i] = o->fd ? o->fd[i] : -1;
	rc = open_stack(o, fd, out, err, size);
	for (unsigned i = 0; i < o->queues; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	free(fd);
	return rc;
}

void netport_close(struct netport *p)
{
	if (p)
		p->ops->close(p);
}
