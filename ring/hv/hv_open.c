/* The choice of the provider: apart from hv.c, so that what uses one provider only does not link the others. */
#include "ring/hv/hv_ops.h"

#include "ring/base/log.h"
#include "ring/os/xen_host.h"

#include <errno.h>
#include <string.h>

int hv_open(const char *provider, const struct hv_open *o, struct hv **out)
{
	*out = NULL;
	if (o->role != HV_FRONTEND && o->domain)
		return -EINVAL;
	provider = xen_host_provider(provider);
	if (strcmp(provider, "local") == 0)
		return o->runtime_dir && (o->role == HV_FRONTEND) == (o->domain != NULL) ? hv_local_open(o, out) : -EINVAL;
	if (strcmp(provider, "xen") == 0)
		return hv_xen_open(o, out);
	log_error("provider %s: there is none of this name; there are auto, local and xen", provider);
	return -ENOSYS;
}
