/* cli_doctor.c - bulkhead doctor: the points of doctor.h, for people or as JSON. */
#include "recovery/cli/doctor.h"
#include "recovery/super/sup.h"
#include "ring/os/xen_host.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_json(const struct doctor *d, const char *provider)
{
	json_t *points = json_array(), *all;

	for (unsigned i = 0; i < d->n; i++) {
		const struct doctor_point *p = &d->point[i];

		json_array_append_new(points, json_pack("{s:s, s:s, s:b, s:s, s:s}", "name", p->name, "verdict",
							doctor_verdict_name(p->verdict), "needed", (int)p->needed, "text",
							p->text, "do", p->todo));
	}
	all = json_pack("{s:s, s:b, s:o}", "provider", provider, "ok", (int)doctor_fine(d), "points", points);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static void print_lines(const struct doctor *d, const char *provider)
{
	for (unsigned i = 0; i < d->n; i++) {
		const struct doctor_point *p = &d->point[i];
		bool spare = p->verdict == DOCTOR_MISSING && !p->needed;

		printf("%-11s  %-15s  %s%s\n", doctor_verdict_name(p->verdict), p->name, p->text, spare ? " (not needed)" : "");
		if (p->todo[0])
			printf("%-11s  %-15s  -> %s\n", "", "", p->todo);
	}
	printf(doctor_fine(d) ? "provider %s can work here\n" : "provider %s can not work here yet: see what is missing\n", provider);
}

int cli_doctor(struct cli *c, int argc, char **argv)
{
	struct doctor d = {.root = "", .uid_base = SUP_UID_BASE};
	const char *provider = "auto";
	bool xen;

	for (int i = 0; i < argc; i += 2) {
		char *end = NULL;

		if (i + 1 < argc && strcmp(argv[i], "--provider") == 0)
			provider = argv[i + 1];
		else if (i + 1 < argc && strcmp(argv[i], "--uid-base") == 0)
			d.uid_base = (uint32_t)strtoul(argv[i + 1], &end, 10);
		else
			return cli_usage("doctor takes [--provider auto|local|xen] [--uid-base N]");
		if (end && (*end || end == argv[i + 1]))
			return cli_usage("--uid-base %s: a number is meant", argv[i + 1]);
	}
	if (strcmp(provider, "auto") == 0 && xen_host_below(""))
		provider = "xen"; /* also where its interface is not mounted: that is what to find out */
	provider = xen_host_provider(provider);
	xen = strcmp(provider, "xen") == 0;
	if (!xen && strcmp(provider, "local") != 0)
		return cli_usage("--provider: auto, local or xen");
	if (xen)
		doctor_xen(&d);
	doctor_kernel(&d);
	doctor_net(&d);
	doctor_world(&d, c, xen && xen_host_here(""));
	if (c->json)
		print_json(&d, provider);
	else
		print_lines(&d, provider);
	return doctor_fine(&d) ? CLI_OK : CLI_FAILED;
}
