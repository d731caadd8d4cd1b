/* cli_status.c - what the supervisor knows, as a table for people or as JSON. */
#include "recovery/cli/cli.h"
#include "recovery/ctl/ctl_client.h"
#include "ring/base/err.h"
#include "ring/base/conn.h"
#include "ring/os/clock.h"
#include "xenstore-glue/bus/vif_keys.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *dev_json(const struct ctl_dev *d)
{
	return json_pack("{s:s, s:i, s:s, s:i, s:s, s:i, s:i, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I,"
			 " s:{s:I, s:I, s:I}, s:I, s:I, s:I, s:i, s:i, s:b, s:s, s:s, s:s,"
			 " s:I, s:I}",
			 "domain", d->domain, "domid", (int)d->domid, "vdev", d->vdev, "devid", (int)d->devid,
			 "state", ctl_state_name((enum ctl_state)d->state), "pid", d->pid, "standby_pid", d->standby_pid,
			 "generation", (json_int_t)d->generation, "restarts", (json_int_t)d->restarts,
			 "last_outage_ms", (double)d->last_outage_ns / 1e6, "requests", (json_int_t)d->requests,
			 "errors", (json_int_t)d->errors, "bytes_read", (json_int_t)d->bytes_read,
			 "bytes_written", (json_int_t)d->bytes_written, "replayed", (json_int_t)d->replayed,
			 "inflight", (json_int_t)d->inflight, "latency_us", "p50", (json_int_t)d->lat_p50_us,
			 "p99", (json_int_t)d->lat_p99_us, "max", (json_int_t)d->lat_max_us,
			 "uss_bytes", (json_int_t)d->uss_bytes, "standby_uss_bytes", (json_int_t)d->standby_uss_bytes,
			 "size_bytes", (json_int_t)d->size_bytes, "queues", (int)d->nqueues,
			 "ring_pages", (int)d->ring_pages, "read_only", (int)d->read_only, "params", d->spec,
			 "confinement", d->confinement, "text", d->text,
			 "grants_mapped", (json_int_t)d->grants_mapped, "grants_max", (json_int_t)d->grants_max);
}

static json_t *net_json(const struct ctl_net *n)
{
	json_t *drops = json_object();
	char mac[VIF_MAC_TEXT];

	for (unsigned i = 0; i < CTL_DROPS; i++)
		json_object_set_new(drops, ctl_drop_name((enum ctl_drop)i), json_integer((json_int_t)n->drop[i]));
	vif_mac_format(n->mac, mac);
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:o}", "interface", n->port, "mac", mac,
			 "mode", n->mode, "bridge", n->bridge, "carrier", (int)n->carrier, "tx_packets", (json_int_t)n->tx_packets,
			 "tx_bytes", (json_int_t)n->tx_bytes, "rx_packets", (json_int_t)n->rx_packets, "rx_bytes",
			 (json_int_t)n->rx_bytes, "stalls", (json_int_t)n->stalls, "ctrl", (json_int_t)n->ctrl, "rated",
			 (json_int_t)n->rated, "replayed", (json_int_t)n->replayed, "filter", n->filter, "steering",
			 ctl_steer_name((enum ctl_steer)n->steer), "drops", drops);
}

static json_t *any_json(const struct ctl_dev *d)
{
	json_t *j = dev_json(d);

	json_object_set_new(j, "class", json_string(d->type == CONN_VIF ? "vif" : "vbd"));
	if (d->type == CONN_VIF)
		json_object_set_new(j, "net", net_json(&d->net));
	return j;
}

static void print_json(const struct ctl_dev *devs, int n)
{
	json_t *all = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(all, any_json(&devs[i]));
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static int count(const struct ctl_dev *devs, int n, uint32_t type)
{
	int found = 0;

	for (int i = 0; i < n; i++)
		found += devs[i].type == type;
	return found;
}

static void print_why(const struct ctl_dev *d)
{
	if (d->text[0])
		printf("%-12s %-6s   %s\n", "", "", d->text);
}

static const char *outage(const struct ctl_dev *d)
{
	return d->last_outage_ns ? cli_time_us((d->last_outage_ns + 500) / 1000) : "-";
}

static void print_drops(const struct ctl_net *n)
{
	static const char *const why[] = {
#define X(sym, name, what) what,
		CTL_DROPS_LIST(X)
#undef X
	};

	for (unsigned i = 0; i < CTL_DROPS; i++)
		if (n->drop[i])
			printf("%-12s %-6s   %llu dropped (%s): %s\n", "", "", (unsigned long long)n->drop[i],
			       ctl_drop_name((enum ctl_drop)i), why[i]);
}

static void print_vifs(const struct ctl_dev *devs, int n)
{
	printf("%-12s %-6s %-10s %8s %4s %8s %9s %-15s %10s %9s %10s %9s %8s %9s\n", "VM", "VIF", "STATE", "PID", "GEN", "RESTARTS",
	       "OUTAGE", "INTERFACE", "SENT", "BYTES", "RECEIVED", "BYTES", "DROPPED", "MEMORY");
	for (int i = 0; i < n; i++) {
		const struct ctl_dev *d = &devs[i];
		uint64_t dropped = 0;

		if (d->type != CONN_VIF)
			continue;
		for (unsigned k = 0; k < CTL_DROPS; k++)
			dropped += d->net.drop[k];
		printf("%-12s %-6s %-10s %8d %4llu %8llu %9s %-15s %10llu %9s %10llu %9s %8llu %9s\n", d->domain, d->vdev,
		       ctl_state_name((enum ctl_state)d->state), d->pid, (unsigned long long)d->generation,
		       (unsigned long long)d->restarts, outage(d), d->net.port[0] ? d->net.port : "-",
		       (unsigned long long)d->net.tx_packets, cli_bytes(d->net.tx_bytes), (unsigned long long)d->net.rx_packets,
		       cli_bytes(d->net.rx_bytes), (unsigned long long)dropped, d->uss_bytes ? cli_bytes(d->uss_bytes) : "-");
		if (d->net.filter[0])
			printf("%-12s %-6s   filter: %s\n", "", "", d->net.filter);
		print_drops(&d->net);
		if (d->net.steer == CTL_STEER_REFUSED)
			printf("%-12s %-6s   its guest's hash mapping moves nothing: this host has no BPF for it\n", "", "");
		print_why(d);
	}
}

static void print_disks(const struct ctl_dev *devs, int n)
{
	printf("%-12s %-6s %-10s %8s %4s %8s %9s %10s %6s %9s %9s %8s %8s %9s %11s\n", "VM", "VDEV", "STATE", "PID", "GEN",
	       "RESTARTS", "OUTAGE", "REQUESTS", "ERRORS", "READ", "WRITTEN", "P50", "P99", "MEMORY", "MAPPED");
	for (int i = 0; i < n; i++) {
		const struct ctl_dev *d = &devs[i];
		char mapped[48];

		if (d->type != CONN_VBD)
			continue;
		snprintf(mapped, sizeof(mapped), "%llu/%llu", (unsigned long long)d->grants_mapped, (unsigned long long)d->grants_max);
		printf("%-12s %-6s %-10s %8d %4llu %8llu %9s %10llu %6llu %9s %9s %8s %8s %9s %11s\n", d->domain, d->vdev,
		       ctl_state_name((enum ctl_state)d->state), d->pid, (unsigned long long)d->generation,
		       (unsigned long long)d->restarts,
		       outage(d),
		       (unsigned long long)d->requests, (unsigned long long)d->errors, cli_bytes(d->bytes_read),
		       cli_bytes(d->bytes_written), d->requests ? cli_time_us(d->lat_p50_us) : "-",
		       d->requests ? cli_time_us(d->lat_p99_us) : "-", d->uss_bytes ? cli_bytes(d->uss_bytes) : "-",
		       d->grants_max ? mapped : "-");
		print_why(d);
	}
}

/* By domain, disks first, then number. */
static int in_order(const void *a, const void *b)
{
	const struct ctl_dev *x = a, *y = b;

	if (x->domid != y->domid)
		return x->domid < y->domid ? -1 : 1;
	if (x->type != y->type)
		return x->type == CONN_VBD ? -1 : 1;
	return x->devid < y->devid ? -1 : x->devid > y->devid;
}

static void print_table(const struct ctl_dev *devs, int n)
{
	int vifs = count(devs, n, CONN_VIF);

	if (vifs < n || !n)
		print_disks(devs, n);
	if (vifs)
		print_vifs(devs, n);
}

int cli_status(struct cli *c, int argc, char **argv)
{
	uint32_t domid = CTL_ALL, devid = CTL_ALL, type = 0;
	struct ctl_dev *devs = NULL;
	struct ctl_reply reply = {0};
	int n, sock;

	if (argc > 2)
		return cli_usage("status takes [VM [VDEV]]");
	if (argc > 0) {
		int d = cli_domid(c, argv[0]);

		if (d < 0)
			return CLI_FAILED;
		domid = (uint32_t)d;
	}
	if (argc > 1 && cli_device(argv[1], &type, &devid))
		return EXIT_USAGE;
	sock = cli_supervisor(c);
	if (sock < 0)
		return CLI_FAILED;
	n = ctl_client_status(sock, type, domid, devid, &devs, &reply);
	close(sock);
	if (n < 0)
		return cli_fail("%s", reply.text[0] ? reply.text : err_str(n));
	if (argc > 1 && n == 0) {
		free(devs);
		return cli_fail("%s has no %s", argv[0], argv[1]);
	}
	qsort(devs, (size_t)n, sizeof(*devs), in_order);
	if (c->json)
		print_json(devs, n);
	else
		print_table(devs, n);
	free(devs);
	return CLI_OK;
}
