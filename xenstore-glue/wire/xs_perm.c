#include "xenstore-glue/wire/xs_perm.h"

#include "xenstore-glue/wire/xs_wire.h"

static const char letters[4] = {
	[0] = 'n',
	[XS_MAY_READ] = 'r',
	[XS_MAY_WRITE] = 'w',
	[XS_MAY_READ | XS_MAY_WRITE] = 'b',
};

int xs_perm_parse(const char *text, struct xs_perm *out)
{
	uint32_t domid;

	for (uint8_t may = 0; may < ARRAY_LEN(letters); may++) {
		if (text[0] != letters[may])
			continue;
		if (!xs_parse_u32(text + 1, XS_DOMID_FIRST_RESERVED - 1, &domid))
			return -EINVAL;
		*out = (struct xs_perm){.domid = (uint16_t)domid, .may = may};
		return 0;
	}
	return -EINVAL;
}

void xs_perm_format(const struct xs_perm *p, char out[XS_PERM_TEXT])
{
	char digits[5];
	size_t n = 0, at = 0;
	unsigned v = p->domid;

	out[at++] = letters[p->may & (XS_MAY_READ | XS_MAY_WRITE)];
	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	while (n)
		out[at++] = digits[--n];
	out[at] = '\0';
}

static bool names(const struct xs_cred *c, const struct xs_perm *p)
{
	return p->domid == c->domid || (c->target != XS_DOMID_NONE && p->domid == c->target);
}

unsigned xs_perm_may(const struct xs_cred *c, const struct xs_perm *perms, size_t n)
{
	if (xs_cred_privileged(c) || names(c, &perms[0]))
		return XS_MAY_READ | XS_MAY_WRITE | XS_MAY_OWN;
	for (size_t i = 1; i < n; i++)
		if (!perms[i].ignored && names(c, &perms[i]))
			return perms[i].may;
	return perms[0].may;
}
