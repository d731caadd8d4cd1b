/* cli_xen.h - domains as xenstore knows them, on real Xen. One thread. */
#ifndef BULKHEAD_RECOVERY_CLI_CLI_XEN_H
#define BULKHEAD_RECOVERY_CLI_CLI_XEN_H

#include "recovery/cli/cli.h"

/* As cli_domains(); of struct hub_dom only domid and name are known there. */
int cli_xen_domains(const struct cli *c, struct hub_dom **doms);

#endif
