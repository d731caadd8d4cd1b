/* cli_metrics.c - what the supervisor knows, in the text format of Prometheus. */
#include "recovery/cli/cli.h"
#include "recovery/ctl/ctl_client.h"
#include "ring/base/conn.h"
#include "ring/base/err.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum metric_type { COUNTER, GAUGE };

/* A number of struct ctl_dev. of: the kind of devices that have it, 0: any. divisor: of the unit that is shown. */
static const struct metric {
	const char *name, *help;
	uint32_t of;
	enum metric_type type;
	size_t at;
	double divisor;
} metrics[] = {
#define M(name, help, of, type, field, divisor) {name, help, of, type, offsetof(struct ctl_dev, field), divisor}
	M("device_restarts_total", "Deaths of the device's stub that were repaired, since it was attached.", 0, COUNTER, restarts, 1),
	M("device_generation", "Number of the stub that serves, counted since the connection began.", 0, GAUGE, generation, 1),
	M("device_last_outage_seconds", "From the notice of the last death to its repair.", 0, GAUGE, last_outage_ns, 1e9),
	M("device_memory_bytes", "Private memory of the stub.", 0, GAUGE, uss_bytes, 1),
	M("device_standby_memory_bytes", "Private memory of the standby.", 0, GAUGE, standby_uss_bytes, 1),
	M("disk_requests_total", "Requests answered.", CONN_VBD, COUNTER, requests, 1),
	M("disk_errors_total", "Requests answered with an error.", CONN_VBD, COUNTER, errors, 1),
	M("disk_read_bytes_total", "Bytes read by the guest.", CONN_VBD, COUNTER, bytes_read, 1),
	M("disk_written_bytes_total", "Bytes written by the guest.", CONN_VBD, COUNTER, bytes_written, 1),
	M("disk_replayed_total", "Requests done again after a death.", CONN_VBD, COUNTER, replayed, 1),
	M("disk_inflight", "Requests that the storage has now.", CONN_VBD, GAUGE, inflight, 1),
	M("disk_latency_p50_seconds", "Half of all requests took at most this.", CONN_VBD, GAUGE, lat_p50_us, 1e6),
	M("disk_latency_p99_seconds", "99 of a hundred requests took at most this.", CONN_VBD, GAUGE, lat_p99_us, 1e6),
	M("disk_size_bytes", "Size of the disk.", CONN_VBD, GAUGE, size_bytes, 1),
	M("disk_grants_mapped", "Pages of the guest that are mapped.", CONN_VBD, GAUGE, grants_mapped, 1),
	M("vif_transmit_packets_total", "Packets from the guest.", CONN_VIF, COUNTER, net.tx_packets, 1),
	M("vif_transmit_bytes_total", "Bytes from the guest.", CONN_VIF, COUNTER, net.tx_bytes, 1),
	M("vif_receive_packets_total", "Packets to the guest.", CONN_VIF, COUNTER, net.rx_packets, 1),
	M("vif_receive_bytes_total", "Bytes to the guest.", CONN_VIF, COUNTER, net.rx_bytes, 1),
	M("vif_replayed_total", "Packets of the guest that a stub had taken when it died.", CONN_VIF, COUNTER, net.replayed, 1),
	M("vif_stalls_total", "Times that the guest took nothing for too long.", CONN_VIF, COUNTER, net.stalls, 1),
	M("vif_rated_total", "Times that the rate made the guest wait.", CONN_VIF, COUNTER, net.rated, 1),
	M("vif_control_messages_total", "Messages on the control ring.", CONN_VIF, COUNTER, net.ctrl, 1),
#undef M
};

static void label_text(const char *name, const char *value, const char *before)
{
	printf("%s%s=\"", before, name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putchar('\\');
		if (*value == '\n')
			fputs("\\n", stdout);
		else
			putchar(*value);
	}
	putchar('"');
}

/* "bulkhead_NAME{vm=...,domid=...,device=..." */
static void begin(const char *name, const struct ctl_dev *d)
{
	printf("bulkhead_%s", name);
	label_text("vm", d->domain, "{");
	printf(",domid=\"%u\"", d->domid);
	label_text("device", d->vdev, ",");
}

static void head(const char *name, const char *help, enum metric_type type)
{
	printf("# HELP bulkhead_%s %s\n# TYPE bulkhead_%s %s\n", name, help, name, type == COUNTER ? "counter" : "gauge");
}

/* ctl_dev has numbers of 64 bits only where metrics[] points. */
static uint64_t number(const struct ctl_dev *d, size_t at) { return *(const uint64_t *)(const void *)((const char *)d + at); }

static void print_numbers(const struct ctl_dev *devs, int n)
{
	for (const struct metric *m = metrics; m < metrics + ARRAY_LEN(metrics); m++) {
		head(m->name, m->help, m->type);
		for (int i = 0; i < n; i++) {
			if (m->of && m->of != devs[i].type)
				continue;
			begin(m->name, &devs[i]);
			if (m->divisor > 1)
				printf("} %.9g\n", (double)number(&devs[i], m->at) / m->divisor);
			else
				printf("} %llu\n", (unsigned long long)number(&devs[i], m->at));
		}
	}
}

static void print_states(const struct ctl_dev *devs, int n)
{
	head("device_state", "1 for the state that the device is in.", GAUGE);
	for (int i = 0; i < n; i++)
		for (unsigned s = 0; s < CTL_STATE_COUNT; s++) {
			begin("device_state", &devs[i]);
			label_text("state", ctl_state_name((enum ctl_state)s), ",");
			printf("} %d\n", devs[i].state == s);
		}
}

static void print_nets(const struct ctl_dev *devs, int n)
{
	head("vif_info", "What the interface is.", GAUGE);
	for (int i = 0; i < n; i++) {
		if (devs[i].type != CONN_VIF)
			continue;
		begin("vif_info", &devs[i]);
		label_text("interface", devs[i].net.port, ",");
		label_text("mode", devs[i].net.mode, ",");
		label_text("bridge", devs[i].net.bridge, ",");
		printf("} 1\n");
	}
	head("vif_carrier", "1 while the guest is connected and takes packets.", GAUGE);
	for (int i = 0; i < n; i++) {
		if (devs[i].type != CONN_VIF)
			continue;
		begin("vif_carrier", &devs[i]);
		printf("} %u\n", devs[i].net.carrier);
	}
	head("vif_dropped_packets_total", "Packets dropped, by reason.", COUNTER);
	for (int i = 0; i < n; i++)
		for (unsigned r = 0; devs[i].type == CONN_VIF && r < CTL_DROPS; r++) {
			begin("vif_dropped_packets_total", &devs[i]);
			label_text("reason", ctl_drop_name((enum ctl_drop)r), ",");
			printf("} %llu\n", (unsigned long long)devs[i].net.drop[r]);
		}
}

int cli_metrics(struct cli *c, int argc, char **argv)
{
	struct ctl_dev *devs = NULL;
	struct ctl_reply reply = {0};
	int n, sock;

	(void)argv;
	if (argc)
		return cli_usage("metrics takes nothing");
	sock = cli_supervisor(c);
	if (sock < 0)
		return CLI_FAILED;
	n = ctl_client_status(sock, 0, CTL_ALL, CTL_ALL, &devs, &reply);
	close(sock);
	if (n < 0)
		return cli_fail("%s", reply.text[0] ? reply.text : err_str(n));
	print_states(devs, n);
	print_numbers(devs, n);
	print_nets(devs, n);
	free(devs);
	return CLI_OK;
}
