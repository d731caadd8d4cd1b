#include "recovery/journal/jrnl_replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verdict {
	const struct jrnl_q *q;
	uint64_t req_cons, rsp_prod;
	struct jrnl_scan *out;
	char *err;
	size_t size;
};

static int corrupt(struct verdict *v, uint32_t slot, const char *what)
{
	snprintf(v->err, v->size, "slot %u: %s", slot, what);
	return -EBADMSG;
}

static bool before(uint64_t a, uint64_t b) { return MUTANT(SEQ32) ? (int32_t)((uint32_t)a - (uint32_t)b) < 0 : a < b; }

/* A live request may be as old as it likes: others pass one that hangs. */
static int check_live(struct verdict *v, uint32_t i, const struct jrnl_slot *s)
{
	if (s->check_copy != jrnl_check_copy(s))
		return corrupt(v, i, "check word of the request");
	if (s->index >= v->req_cons)
		return corrupt(v, i, "index out of range");
	if (!JRNL_BLAME_SOUND(s->blame))
		return corrupt(v, i, "blame");
	if (s->state != JRNL_TAKEN) {
		if (s->nlist > JRNL_SEGS_MAX)
			return corrupt(v, i, "length of the list");
		if (s->nlist && s->check_list != jrnl_check_list(&v->q->list[i], s->nlist))
			return corrupt(v, i, "check word of the list");
	}
	return 0;
}

static int judge_done(struct verdict *v, uint32_t i, const struct jrnl_slot *s)
{
	if (s->check_copy != jrnl_check_copy(s) || s->check_answer != jrnl_check_answer(s))
		return corrupt(v, i, "check word of the answer");
	if (before(s->rsp_idx, v->rsp_prod)) {
		v->out->forget[v->out->nforget++] = (uint16_t)i;
		return 0;
	}
	if (s->rsp_idx - v->rsp_prod >= v->q->nslots || s->index >= v->req_cons)
		return corrupt(v, i, "index of the answer out of range");
	v->out->reanswer[v->out->nreanswer++] = (uint16_t)i;
	return 0;
}

static int judge(struct verdict *v, uint32_t i)
{
	const struct jrnl_slot *s = &v->q->slot[i];
	int rc;

	switch (s->state) {
	case JRNL_FREE:
		return 0;
	case JRNL_TAKEN:
		if (!before(s->index, v->req_cons)) { /* its batch was not finished: the ring still has it */
			v->out->forget[v->out->nforget++] = (uint16_t)i;
			return 0;
		}
		break;
	case JRNL_LOADED:
	case JRNL_STARTED:
		break;
	case JRNL_DONE:
		return judge_done(v, i, s);
	default:
		return corrupt(v, i, "no such state");
	}
	rc = check_live(v, i, s);
	if (!rc)
		v->out->redo[v->out->nredo++] = (uint16_t)i;
	return rc;
}

static uint64_t key(const struct jrnl_q *q, uint16_t slot, bool answers)
{
	return answers ? q->slot[slot].rsp_idx : q->slot[slot].index;
}

/* Insertion sort: at most a ring's length, and nearly sorted. */
static void sort(const struct jrnl_q *q, uint16_t *slots, uint32_t n, bool answers)
{
	for (uint32_t i = 1; i < n; i++) {
		uint16_t s = slots[i];
		uint32_t k = i;

		for (; k > 0 && key(q, slots[k - 1], answers) > key(q, s, answers); k--)
			slots[k] = slots[k - 1];
		slots[k] = s;
	}
}

static int check_order(struct verdict *v)
{
	struct jrnl_scan *o = v->out;

	for (uint32_t i = 0; i < o->nreanswer; i++)
		for (uint32_t k = 0; k < i; k++)
			if (v->q->slot[o->reanswer[i]].index == v->q->slot[o->reanswer[k]].index)
				return corrupt(v, o->reanswer[i], "a request is answered twice");
	for (uint32_t i = 0; i < o->nreanswer; i++)
		if (v->q->slot[o->reanswer[i]].rsp_idx != v->rsp_prod + i)
			return corrupt(v, o->reanswer[i], "the unpublished answers have a gap or one twice");
	for (uint32_t i = 1; i < o->nredo; i++)
		if (v->q->slot[o->redo[i]].index == v->q->slot[o->redo[i - 1]].index)
			return corrupt(v, o->redo[i], "two slots of one request");
	for (uint32_t i = 0; i < o->nreanswer; i++)
		for (uint32_t k = 0; k < o->nredo; k++)
			if (v->q->slot[o->reanswer[i]].index == v->q->slot[o->redo[k]].index)
				return corrupt(v, o->redo[k], "a request is both answered and not");
	if (v->req_cons < v->rsp_prod || v->req_cons - v->rsp_prod != o->nreanswer + o->nredo)
		return corrupt(v, 0, "requests taken and not answered do not match the slots");
	return 0;
}

int jrnl_scan(const struct jrnl_q *q, struct jrnl_scan *out, char *err, size_t size)
{
	struct verdict v = {.q = q, .req_cons = jrnl_seq_of(q->hdr->req_cons), .rsp_prod = jrnl_seq_of(q->hdr->rsp_prod), .out = out, .err = err,
			    .size = size};

	if (!jrnl_seq_sound(q->hdr->req_cons) || !jrnl_seq_sound(q->hdr->rsp_prod)) {
		snprintf(err, size, "a sequence number of the queue");
		return -EBADMSG;
	}
	out->nforget = out->nreanswer = out->nredo = 0;
	for (uint32_t i = 0; i < q->nslots; i++) {
		int rc = judge(&v, i);

		if (rc)
			return rc;
	}
	sort(q, out->reanswer, out->nreanswer, true);
	sort(q, out->redo, out->nredo, false);
	return check_order(&v);
}
