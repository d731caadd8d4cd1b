#include "recovery/cli/xlspec.h"
#include "ring/base/base.h"
#include "ring/base/err.h"

#include <errno.h>
#include <libxl.h>
#include <libxlutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xl's names, and those of the nodes. */
static const struct {
	const char *key, *node;
} nodes[] = {
	{"mac", "mac"},	    {"bridge", "bridge"},  {"ip", "ip"},     {"script", "script"}, {"vifname", "vifname"},
	{"mtu", "mtu"},	    {"vlan", "vlan"},	   {"gatewaydev", "gatewaydev"}, {"netdev", "gatewaydev"}, {"type", "type"},
	{"mode", "mode"},   {"antispoof", "antispoof"}, {"params", "params"},
};
/* What an emulated card, or the guest's view of us, would need: taken and left alone. */
static const char *const unused[] = {"model", "trusted"};

/* "10Mb/s@20ms" as the node has it. */
static int take_rate(const char *text, struct xs_kvs *kvs, char *err, size_t size)
{
	char *report = NULL;
	size_t len;
	FILE *f = open_memstream(&report, &len);
	XLU_Config *cfg = f ? xlu_cfg_init(f, "rate") : NULL;
	libxl_device_nic nic;
	int rc = -ENOMEM;

	if (cfg) {
		libxl_device_nic_init(&nic);
		rc = xlu_vif_parse_rate(cfg, text, &nic) ? -EINVAL : 0;
		if (!rc)
			xs_kv_set(kvs, "rate", "%llu,%u", (unsigned long long)nic.rate_bytes_per_interval, nic.rate_interval_usecs);
		libxl_device_nic_dispose(&nic);
		xlu_cfg_destroy(cfg);
	}
	if (f)
		fclose(f);
	free(report);
	return rc ? err_say(err, size, rc, "rate=%.40s: as in 10Mb/s or 1MB/s@20ms is meant", text) : 0;
}

static int take_key(const char *key, const char *value, struct xs_kvs *kvs, uint32_t *devid, char *err, size_t size)
{
	uint64_t n;

	for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
		if (strcmp(nodes[i].key, key) == 0)
			return xs_kv_set(kvs, nodes[i].node, "%s", value);
	for (size_t i = 0; i < ARRAY_LEN(unused); i++)
		if (strcmp(unused[i], key) == 0)
			return 0;
	if (strcmp(key, "rate") == 0)
		return take_rate(value, kvs, err, size);
	if (strcmp(key, "devid") == 0 || strcmp(key, "handle") == 0) {
		if (!xs_kv_number(value, 65535, &n))
			return err_say(err, size, -EINVAL, "%s=%.40s: a number up to 65535 is meant", key, value);
		*devid = (uint32_t)n;
		return 0;
	}
	return err_say(err, size, -EINVAL, "%.40s= is no key of a network interface; see xl-network-configuration(5)", key);
}

static int take_spec(const char *spec, struct xs_kvs *kvs, uint32_t *devid, char *err, size_t size)
{
	char copy[SPEC_MAX], *at = copy, *pair, *value;
	int rc = 0;

	if (strlen(spec) >= sizeof(copy))
		return err_say(err, size, -ENAMETOOLONG, "the network interface's specification is too long");
	strcpy(copy, spec);
	while (!rc && (pair = strsep(&at, ","))) {
		value = strchr(pair, '=');
		if (!*pair)
			continue;
		if (!value)
			return err_say(err, size, -EINVAL, "\"%.40s\" is not KEY=VALUE", pair);
		*value++ = '\0';
		rc = take_key(pair, value, kvs, devid, err, size);
	}
	return rc;
}

int xlspec_vif(int nspecs, const char *const *specs, struct xl_vif *out, char *err, size_t size)
{
	struct xs_kvs *kvs = calloc(1, sizeof(*kvs));
	int rc = kvs ? 0 : -ENOMEM;

	memset(out, 0, sizeof(*out));
	out->devid = UINT32_MAX;
	err[0] = '\0';
	for (int i = 0; !rc && i < nspecs; i++)
		rc = take_spec(specs[i], kvs, &out->devid, err, size);
	if (!rc) {
		xs_kv_set(kvs, "frontend", "/"); /* the values are judged by those who read them */
		xs_kv_set(kvs, "frontend-id", "0");
		rc = vif_wanted_read(kvs, &out->wanted, err, size);
	}
	free(kvs);
	if (!rc && out->wanted.bridge[0] && !out->wanted.script[0] && out->wanted.mode == VIF_BY_SCRIPT)
		out->wanted.mode = VIF_BRIDGE;
	return rc;
}
