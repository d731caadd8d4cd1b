/* net_nft.c - tables of nftables, one of each kind for a vif, made and removed in one transaction. */
#include "recovery/net/net_make.h"

#include "ring/base/err.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct text {
	char s[NET_CMD_MAX];
	size_t len;
};

static void PRINTF_LIKE(2, 3) put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
	va_end(ap);
	t->len = MIN(t->len + (size_t)MAX(n, 0), sizeof(t->s) - 1);
}

/* Nothing of nft's own goes to the terminal; its first line of complaint goes into err. */
static int run(const struct net_job *j, const char *commands)
{
	struct nft_ctx *c = nft_ctx_new(NFT_CTX_DEFAULT);
	const char *said;
	int rc;

	if (!c)
		return -ENOMEM;
	nft_ctx_buffer_error(c);
	nft_ctx_buffer_output(c);
	rc = nft_run_cmd_from_buffer(c, commands) ? -EIO : 0;
	said = rc ? nft_ctx_get_error_buffer(c) : "";
	if (rc && j->size && !j->err[0])
		snprintf(j->err, j->size, "%s: nftables: %.*s", j->vif->dev, (int)strcspn(said, "\n"), said);
	nft_ctx_free(c);
	return rc;
}

/* An existing table is replaced. */
static int make_table(struct net_job *j, const char *family, const struct text *body)
{
	struct text t = {.len = 0};
	char key[64];
	int rc;

	snprintf(key, sizeof(key), "nft %s bulkhead-%s", family, j->vif->dev);
	rc = net_state_add(j->state, key, "");
	if (rc)
		return net_fail(j, rc, "its record can't be written");
	put(&t, "table %s\ndelete table %s\ntable %s {\n%s}\n", key + 4, key + 4, key + 4, body->s);
	if (t.len + 1 >= sizeof(t.s))
		return net_fail(j, -E2BIG, "too many addresses");
	return run(j, t.s);
}

int net_undo_nft(struct net_job *j, const char *what)
{
	struct text t = {.len = 0};

	put(&t, "table %s\ndelete table %s\n", what, what);
	return run(j, t.s);
}

/* "{ A, B }" of those of a family; the link-local one of mac, if it is given, with them. How many. */
static unsigned set_of(struct text *t, const struct net_ip *ip, unsigned n, int family, const unsigned char *mac)
{
	char text[NET_IP_TEXT];
	unsigned count = 0;
	struct net_ip own;

	t->len = 0;
	for (unsigned i = 0; i < n; i++)
		if (ip[i].family == family) {
			net_ip_text(&ip[i], text);
			put(t, "%s%s", count++ ? ", " : "{ ", text);
		}
	if (mac && family == AF_INET6) {
		own = net_link_local(mac);
		net_ip_plain(&own, text);
		put(t, "%s%s", count++ ? ", " : "{ ", text);
	}
	put(t, " }");
	return count;
}

static void put_mac(struct text *t, const char *before, const struct net_vif *v, const char *between, const char *after)
{
	const unsigned char *m = v->mac;

	put(t, "%s%02x%s%02x%s%02x%s%02x%s%02x%s%02x%s", before, m[0], between, m[1], between, m[2], between, m[3], between, m[4], between,
	    m[5], after);
}

/* v4: a set, or NULL. */
static void arp_rules(struct text *t, const struct net_vif *v, const char *v4)
{
	put_mac(t, "arp saddr ether != ", v, ":", " drop\n");
	if (!v->nips)
		return;
	if (v4) {
		put(t, "arp saddr ip 0.0.0.0 arp daddr ip %s accept\n", v4); /* whether it is taken */
		put(t, "arp saddr ip %s accept\n", v4);
	}
	put(t, "meta protocol arp drop\n");
}

/* Without options, or with one, which names the guest's MAC: option is its type and length (RFC 4861), at this bit. */
static void nd_options(struct text *t, const struct net_vif *v, const char *type, unsigned at, unsigned option, const char *and)
{
	put(t, "icmpv6 type %s ip6 length %u %saccept\n", type, at / 8, and);
	put(t, "icmpv6 type %s ip6 length %u @th,%u,16 0x%04x ", type, at / 8 + 8, at, option);
	put(t, "@th,%u,48 ", at + 16);
	put_mac(t, "0x", v, "", " ");
	put(t, "%saccept\n", and);
}

/* 128 bits: of the address, or of its mask. */
static void put_bits(struct text *t, const struct net_ip *ip, bool mask)
{
	put(t, "0x");
	for (unsigned b = 0; b < 16; b++) {
		unsigned bits = ip->prefix > 8 * b ? MIN(ip->prefix - 8 * b, 8u) : 0;
		unsigned ones = 0xff00u >> bits & 0xff;

		put(t, "%02x", mask ? ones : ones & ip->addr[b]);
	}
}

/* An advertisement is of an address of the guest's. */
static void nd_target(struct text *t, const struct net_vif *v, const struct net_ip *target, const char *v6)
{
	struct text and = {.len = 0};

	put(&and, "@th,64,128 & ");
	put_bits(&and, target, true);
	put(&and, " == ");
	put_bits(&and, target, false);
	put(&and, " ip6 saddr %s ", v6);
	nd_options(t, v, "nd-neighbor-advert", 192, 0x0201, and.s);
}

static void nd_rules(struct text *t, const struct net_vif *v, const char *v6)
{
	struct net_ip own = net_link_local(v->mac);
	struct text and = {.len = 0};

	put(t, "ip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit } accept\n");
	if (v->nips) {
		put(&and, "ip6 saddr %s ", v6);
		nd_target(t, v, &own, v6);
		for (unsigned i = 0; i < v->nips; i++)
			if (v->ip[i].family == AF_INET6)
				nd_target(t, v, &v->ip[i], v6);
	} else {
		nd_options(t, v, "nd-neighbor-advert", 192, 0x0201, "");
	}
	nd_options(t, v, "nd-neighbor-solicit", 192, 0x0101, and.s);
	nd_options(t, v, "nd-router-solicit", 64, 0x0101, and.s);
	put(t, "icmpv6 type { nd-neighbor-advert, nd-neighbor-solicit, nd-router-solicit } drop\n");
}

static void ip_rules(struct text *t, const char *v4, const char *v6)
{
	put(t, "icmpv6 type { nd-router-advert, nd-redirect } drop\n"); /* it is no router */
	put(t, "udp sport . udp dport { 67 . 68, 547 . 546 } drop\n");	 /* and no DHCP server */
	if (v4) {
		put(t, "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept\n");
		put(t, "ip saddr %s accept\n", v4);
	}
	put(t, "ip6 saddr :: icmpv6 type { mld-listener-report, mld2-listener-report } accept\n");
	put(t, "ip6 saddr %s accept\n", v6);
	put(t, "drop\n");
}

int net_make_antispoof(struct net_job *j)
{
	const struct net_vif *v = j->vif;
	struct text t = {.len = 0}, v4, v6;
	unsigned n4 = set_of(&v4, v->ip, v->nips, AF_INET, NULL);

	set_of(&v6, v->ip, v->nips, AF_INET6, v->mac);
	put(&t, "chain ingress {\ntype filter hook ingress device \"%s\" priority -500\n", v->dev);
	put_mac(&t, "ether saddr != ", v, ":", " drop\n");
	arp_rules(&t, v, n4 ? v4.s : NULL);
	nd_rules(&t, v, v6.s);
	if (v->nips)
		ip_rules(&t, n4 ? v4.s : NULL, v6.s);
	put(&t, "}\n");
	return net_fail(j, make_table(j, "netdev", &t), "its packets can't be watched");
}

int net_make_masquerade(struct net_job *j, const struct net_ip *guest, unsigned n, const char *out)
{
	struct text t = {.len = 0}, v4, v6;

	put(&t, "chain postrouting {\ntype nat hook postrouting priority srcnat\n");
	if (set_of(&v4, guest, n, AF_INET, NULL))
		put(&t, "ip saddr %s oifname %s masquerade\n", v4.s, out);
	if (set_of(&v6, guest, n, AF_INET6, NULL))
		put(&t, "ip6 saddr %s oifname %s masquerade\n", v6.s, out);
	put(&t, "}\n");
	return net_fail(j, make_table(j, "inet", &t), "address translation can't be set up");
}
