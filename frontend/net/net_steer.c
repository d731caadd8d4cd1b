#include "frontend/net/net_cmd.h"
#include "ring/base/err.h"
#include "ring/base/log.h"

#include <stdio.h>
#include <xen/io/netif.h>

#define ENTRIES 128u /* of the mapping; fewer where the backend takes fewer */

/* Microsoft's, with which its vectors of the hash are made. */
static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
				0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
				0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static int set(struct netfront *f, unsigned type, uint32_t value)
{
	return netfront_ctrl(f, type, (const uint32_t[3]){value}, NULL, 0, NULL);
}

int net_cmd_steer(struct netfront *f, unsigned queue)
{
	uint32_t mapping[ENTRIES], flags = 0, n = 0;
	int rc = set(f, XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM, XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ);

	if (!rc)
		rc = netfront_ctrl(f, XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS, (const uint32_t[3]){0}, NULL, 0, &flags);
	if (!rc)
		rc = set(f, XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS, flags);
	if (!rc)
		rc = netfront_ctrl(f, XEN_NETIF_CTRL_TYPE_SET_HASH_KEY, (const uint32_t[3]){0, sizeof(key)}, key, sizeof(key), NULL);
	if (!rc)
		rc = netfront_ctrl(f, XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE, (const uint32_t[3]){0}, NULL, 0, &n);
	n = MIN(n, ENTRIES);
	for (uint32_t i = 0; i < n; i++)
		mapping[i] = queue;
	if (!rc)
		rc = set(f, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE, n);
	if (!rc)
		rc = netfront_ctrl(f, XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING, (const uint32_t[3]){0, n}, mapping, n * sizeof(mapping[0]), NULL);
	if (rc)
		log_warn("the backend does not bring all packets to queue %u: %s", queue, err_str(rc));
	return rc;
}
