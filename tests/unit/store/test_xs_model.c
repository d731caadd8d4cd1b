/* Random operations against a model that knows nothing of versions, deltas or logs: a table of paths. After every step
 * results are compared and everything is counted anew; a transaction that commits must have given the results that its
 * operations give when they are run in one go at the moment of its commit. At the end, and now and then, the log is loaded
 * into a second store, which must be the same, generations included. $SEED repeats a run. */
#include "tests/unit/store/store_rig.h"
#include "xenstore-glue/store/xs_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAMES 3
#define DEPTH 3
#define PATHS (1 + NAMES + NAMES * NAMES + NAMES * NAMES * NAMES)
#define NODES_MAX 14
#define TXNS 3
#define TXN_OPS 12
#define STEPS 6000

static const uint16_t domids[] = {0, 5, 6};

struct mnode {
	bool there;
	char value[8];
	unsigned nperms;
	struct xs_perm perm[3];
};

struct model {
	struct mnode n[PATHS]; /* n[0] is "/m"; the children of i are i * NAMES + 1 ... */
	bool alive[3];
};

struct done {
	enum rig_op op;
	int path;
	char arg[24];
	int rc;
	char value[8];
};

struct open_txn {
	struct xs_txn *x;
	struct xs_txns list;
	uint16_t domid;
	struct done ops[TXN_OPS];
	int nops;
	bool abandon, disturbed;
};

static uint64_t rng;

static unsigned rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 33) % n;
}

static int parent_of(int i) { return i == 0 ? -1 : (i - 1) / NAMES; }

static void name_of(int i, char *out)
{
	char up[64];

	if (i == 0) {
		strcpy(out, "/m");
		return;
	}
	name_of(parent_of(i), up);
	sprintf(out, "%s/%c", up, 'a' + (i - 1) % NAMES);
}

/* ---- the model ---- */

static unsigned m_may(const struct mnode *n, uint16_t domid)
{
	if (domid == 0 || n->perm[0].domid == domid)
		return 7;
	for (unsigned i = 1; i < n->nperms; i++)
		if (n->perm[i].domid == domid && !n->perm[i].ignored)
			return n->perm[i].may;
	return n->perm[0].may;
}

static unsigned m_count(const struct model *m, uint16_t domid)
{
	unsigned n = 1; /* its home */

	for (int i = 0; i < PATHS; i++)
		n += m->n[i].there && m->n[i].perm[0].domid == domid;
	return n;
}

static int m_reach(const struct model *m, uint16_t domid, int i, unsigned need)
{
	if (m->n[i].there)
		return (m_may(&m->n[i], domid) & need) == need ? 0 : -EACCES;
	while (!m->n[i].there)
		i = parent_of(i);
	return m_may(&m->n[i], domid) & need ? -ENOENT : -EACCES;
}

static int m_create(struct model *m, uint16_t domid, int i, bool quota)
{
	int missing[DEPTH + 1], n = 0;

	for (; !m->n[i].there; i = parent_of(i))
		missing[n++] = i;
	if (quota && domid && m_count(m, domid) + (unsigned)n > NODES_MAX)
		return -ENOSPC;
	while (n--) {
		struct mnode *new = &m->n[missing[n]];

		*new = m->n[parent_of(missing[n])];
		new->value[0] = '\0';
		if (domid)
			new->perm[0].domid = domid;
	}
	return 0;
}

static void m_rm(struct model *m, int i)
{
	m->n[i].there = false;
	for (int c = i * NAMES + 1; c <= i * NAMES + NAMES && c < PATHS; c++)
		m_rm(m, c);
}

static int m_set_perms(struct model *m, uint16_t domid, int i, const char *arg)
{
	struct xs_perm p[3];
	unsigned n = 0;
	int rc;

	for (const char *w = arg; w; w = strchr(w, ' ') ? strchr(w, ' ') + 1 : NULL) {
		char one[8];

		sscanf(w, "%7s", one);
		xs_perm_parse(one, &p[n]);
		p[n].ignored = (p[n].domid == 5 && !m->alive[1]) || (p[n].domid == 6 && !m->alive[2]);
		n++;
	}
	if (p[0].ignored)
		return -ENOENT;
	rc = m_reach(m, domid, i, XS_MAY_WRITE | XS_MAY_OWN);
	if (rc < 0)
		return rc;
	if (domid && p[0].domid != m->n[i].perm[0].domid)
		return -EPERM;
	memcpy(m->n[i].perm, p, sizeof(p));
	m->n[i].nperms = n;
	return 0;
}

static int m_op(struct model *m, uint16_t domid, struct done *d, bool quota)
{
	int rc;

	d->value[0] = '\0';
	switch (d->op) {
	case RIG_READ:
		rc = m_reach(m, domid, d->path, XS_MAY_READ);
		if (rc == 0)
			strcpy(d->value, m->n[d->path].value);
		return rc;
	case RIG_WRITE:
	case RIG_MKDIR:
		rc = m_reach(m, domid, d->path, XS_MAY_WRITE);
		if (rc == -ENOENT)
			rc = m_create(m, domid, d->path, quota);
		if (rc == 0 && d->op == RIG_WRITE)
			strcpy(m->n[d->path].value, d->arg);
		return rc;
	case RIG_RM:
		rc = m_reach(m, domid, d->path, XS_MAY_WRITE);
		if (rc == -ENOENT)
			return m->n[parent_of(d->path)].there ? 0 : -ENOENT;
		if (rc == 0)
			m_rm(m, d->path);
		return rc;
	case RIG_PERMS:
		return m_set_perms(m, domid, d->path, d->arg);
	}
	return -ENOSYS;
}

static void m_release(struct model *m, uint16_t domid)
{
	for (int i = 0; i < PATHS; i++) {
		unsigned kept = 0;

		if (m->n[i].there && m->n[i].perm[0].domid == domid)
			m_rm(m, i);
		for (unsigned k = 0; k < m->n[i].nperms; k++)
			if (m->n[i].perm[k].domid != domid)
				m->n[i].perm[kept++] = m->n[i].perm[k];
		m->n[i].nperms = kept;
	}
	m->alive[domid - 4] = false;
}

/* ---- comparing ---- */

static void same(struct rig *r, const struct model *m)
{
	for (int i = 0; i < PATHS; i++) {
		char path[64];
		struct xs_node *n;

		name_of(i, path);
		n = xs_store_get(r->st, path, strlen(path));
		assert_int_equal(n != NULL, m->n[i].there);
		if (!n)
			continue;
		assert_int_equal(n->datalen, strlen(m->n[i].value));
		assert_memory_equal(n->data, m->n[i].value, n->datalen);
		assert_int_equal(n->nperms, m->n[i].nperms);
		for (unsigned k = 0; k < n->nperms; k++) {
			assert_int_equal(n->perms[k].domid, m->n[i].perm[k].domid);
			assert_int_equal(n->perms[k].may, m->n[i].perm[k].may);
			assert_int_equal(n->perms[k].ignored, m->n[i].perm[k].ignored);
		}
	}
	for (unsigned d = 1; d < 3; d++)
		if (m->alive[d])
			assert_int_equal(xs_store_dom(r->st, domids[d])->nodes, m_count(m, domids[d]));
	rig_check(r);
}

static void same_store(const struct xs_store *a, const struct xs_store *b)
{
	assert_int_equal(a->nodes.count, b->nodes.count);
	for (struct xs_slot *s = xs_table_next(&a->nodes, NULL); s; s = xs_table_next(&a->nodes, s)) {
		struct xs_node *x = CONTAINER_OF(s, struct xs_entry, slot)->node, *y = xs_store_get(b, s->path, s->len);

		assert_non_null(y);
		assert_int_equal(x->gen, y->gen);
		assert_int_equal(x->nperms, y->nperms);
		assert_memory_equal(x->perms, y->perms, x->nperms * sizeof(*x->perms));
		assert_int_equal(x->datalen, y->datalen);
		assert_memory_equal(x->data, y->data, x->datalen);
		assert_int_equal(x->childlen, y->childlen);
		assert_memory_equal(x->children, y->children, x->childlen);
	}
	for (unsigned i = 0; i < XS_DOMID_FIRST_RESERVED; i++) {
		assert_int_equal(a->dom[i] != NULL, b->dom[i] != NULL);
		if (a->dom[i]) {
			assert_int_equal(a->dom[i]->gen, b->dom[i]->gen);
			assert_int_equal(a->dom[i]->nodes, b->dom[i]->nodes);
			assert_int_equal(a->dom[i]->target, b->dom[i]->target);
		}
	}
}

/* What a successor would find: the file as it is now, in a directory of its own. */
static void reload(struct rig *r, int dir, int copy)
{
	char buf[65536];
	struct xs_store *st;
	struct xs_log *log;
	uint64_t dropped;
	int from = openat(dir, XS_LOG_NAME, O_RDONLY | O_CLOEXEC);
	int to = openat(copy, XS_LOG_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		assert_int_equal(write(to, buf, (size_t)n), n);
	close(from);
	close(to);
	assert_int_equal(xs_store_open(&st, 99), 0);
	assert_int_equal(xs_log_open(&log, copy, st, &dropped), 0);
	assert_int_equal(dropped, 0);
	same_store(r->st, st);
	xs_log_close(log);
	xs_store_close(st);
}

/* ---- the run ---- */

static void pick(struct done *d)
{
	static const char *const perms[] = {"n0", "n5", "n6", "b0", "r5", "n0 b5", "n0 r5 w6", "n5 b6", "w6 r5"};

	d->op = (enum rig_op)rnd(5);
	d->path = (int)(1 + rnd(PATHS - 1));
	d->arg[0] = '\0';
	if (d->op == RIG_WRITE)
		snprintf(d->arg, sizeof(d->arg), "%u", rnd(100000));
	else if (d->op == RIG_PERMS)
		strcpy(d->arg, perms[rnd(ARRAY_LEN(perms))]);
}

static void single(struct rig *r, struct model *m, uint16_t domid, struct open_txn *t)
{
	char path[64];
	struct done d;
	int rc;

	pick(&d);
	name_of(d.path, path);
	r->value[0] = '\0';
	rc = rig_do(r, domid, d.op, path, d.arg);
	assert_int_equal(rc, m_op(m, domid, &d, true));
	if (d.op == RIG_READ)
		assert_string_equal(r->value, d.value);
	for (int i = 0; i < TXNS; i++)
		t[i].disturbed = true;
}

static void in_txn(struct rig *r, struct open_txn *t)
{
	struct done *d = &t->ops[t->nops++];
	char path[64];

	pick(d);
	name_of(d->path, path);
	r->value[0] = '\0';
	d->rc = rig_in(r, t->x, d->op, path, d->arg);
	snprintf(d->value, sizeof(d->value), "%.7s", r->value);
	t->abandon |= d->rc == -ENOSPC;
}

static void end_txn(struct rig *r, struct model *m, struct open_txn *t, struct open_txn *all)
{
	struct model then = *m;
	bool commit = !t->abandon && rnd(8) != 0;
	int rc = rig_end(r, &t->list, t->x, commit);

	t->x = NULL;
	if (!commit || rc < 0) {
		if (commit && rc == -EAGAIN)
			assert_true(t->disturbed);
		return;
	}
	for (int i = 0; i < t->nops; i++) {
		struct done again = t->ops[i];

		assert_int_equal(m_op(&then, t->domid, &again, false), t->ops[i].rc);
		if (again.op == RIG_READ)
			assert_string_equal(again.value, t->ops[i].value);
	}
	if (t->domid)
		assert_true(m_count(&then, t->domid) <= NODES_MAX || m_count(&then, t->domid) <= m_count(m, t->domid));
	*m = then;
	for (int i = 0; i < TXNS; i++)
		all[i].disturbed = true;
}

static void some_txn(struct rig *r, struct model *m, struct open_txn *all)
{
	struct open_txn *t = &all[rnd(TXNS)];
	unsigned who = rnd(3);

	if (!t->x && m->alive[who]) {
		t->domid = domids[who];
		t->nops = 0;
		t->abandon = t->disturbed = false;
		xs_txns_init(&t->list);
		assert_int_equal(xs_txn_start(&t->list, r->st, t->domid, &t->x), 0);
	} else if (t->x && t->nops < TXN_OPS && rnd(5)) {
		in_txn(r, t);
	} else if (t->x) {
		end_txn(r, m, t, all);
	}
}

static void domain_ends(struct rig *r, struct model *m, struct open_txn *all)
{
	unsigned who = 1 + rnd(2);

	/* Which domains live is not part of what a transaction sees at one moment. */
	for (int i = 0; i < TXNS; i++) {
		all[i].abandon = true;
		if (all[i].x && all[i].domid == domids[who]) {
			rig_end(r, &all[i].list, all[i].x, false);
			all[i].x = NULL;
		}
	}
	if (m->alive[who]) {
		assert_int_equal(rig_release(r, domids[who]), 0);
		m_release(m, domids[who]);
		return;
	}
	rig_guest(r, domids[who]);
	m->alive[who] = true;
}

static void the_store_is_the_model(void **state)
{
	struct rig *r = *state;
	const char *seed = getenv("SEED");
	char a[] = "/tmp/xs-model-XXXXXX", b[] = "/tmp/xs-model-XXXXXX", file[64];
	struct open_txn txns[TXNS] = {0};
	struct model m = {.alive = {true, true, true}};
	struct xs_log *log;
	uint64_t dropped;
	int dir, copy;

	rng = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid();
	rng |= 1;
	print_message("SEED=%llu\n", (unsigned long long)rng);
	dir = open(mkdtemp(a), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	copy = open(mkdtemp(b), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(xs_log_open(&log, dir, r->st, &dropped), 0);
	r->st->quota.nodes = NODES_MAX;
	rig_guest(r, 5);
	rig_guest(r, 6);
	assert_int_equal(rig_do(r, 0, RIG_WRITE, "/m", ""), 0);
	assert_int_equal(rig_do(r, 0, RIG_PERMS, "/m", "b0"), 0);
	m.n[0] = (struct mnode){.there = true, .nperms = 1, .perm = {{.domid = 0, .may = 3}}};
	for (int step = 0; step < STEPS; step++) {
		unsigned what = rnd(100), who = rnd(3);

		if (what == 0)
			domain_ends(r, &m, txns);
		else if (what < 60)
			some_txn(r, &m, txns);
		else if (m.alive[who])
			single(r, &m, domids[who], txns);
		same(r, &m);
		if (step % 500 == 499)
			reload(r, dir, copy);
		assert_true(xs_log_tidy(log) >= 0);
	}
	for (int i = 0; i < TXNS; i++)
		if (txns[i].x)
			rig_end(r, &txns[i].list, txns[i].x, false);
	reload(r, dir, copy);
	xs_log_close(log);
	for (int i = 0; i < 2; i++) {
		snprintf(file, sizeof(file), "%s/" XS_LOG_NAME, i ? b : a);
		unlink(file);
		rmdir(i ? b : a);
	}
	close(dir);
	close(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {RIG_TEST(the_store_is_the_model)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
