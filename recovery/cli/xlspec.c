#include "recovery/cli/xlspec.h"

#include <errno.h>
#include <libxl.h>
#include <libxlutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What libxlutil reports is "NAME: config parsing error in disk specification: WHAT": the last part is for people. */
static void take_report(char *report, char *err, size_t size)
{
	const char *what = report ? strstr(report, "specification: ") : NULL;

	what = what ? what + strlen("specification: ") : report && *report ? report : "not a disk specification";
	snprintf(err, size, "%.*s; see xl-disk-configuration(5)", (int)strcspn(what, "\n"), what);
}

static int convert(const libxl_device_disk *d, struct xl_disk *out, char *err, size_t size)
{
	if (!d->vdev || !*d->vdev)
		return snprintf(err, size, "no vdev= in the disk specification"), -EINVAL;
	if (!d->pdev_path || !*d->pdev_path)
		return snprintf(err, size, "no target= in the disk specification"), -EINVAL;
	if (d->format != LIBXL_DISK_FORMAT_UNKNOWN && d->format != LIBXL_DISK_FORMAT_RAW)
		return snprintf(err, size, "only format=raw is served; convert the image with qemu-img convert -O raw"), -EINVAL;
	if (d->backend_domname || d->backend_domid)
		return snprintf(err, size, "backend= names another domain: attach it there"), -EINVAL;
	if (strlen(d->pdev_path) >= sizeof(out->target) || strlen(d->vdev) >= sizeof(out->vdev) ||
	    (d->script && strlen(d->script) >= sizeof(out->script)))
		return snprintf(err, size, "target, vdev or script is too long"), -EINVAL;
	strcpy(out->target, d->pdev_path);
	strcpy(out->vdev, d->vdev);
	strcpy(out->script, d->script ? d->script : "");
	out->read_only = !d->readwrite;
	out->cdrom = d->is_cdrom;
	out->removable = d->removable;
	out->discard = libxl_defbool_is_default(d->discard_enable) || libxl_defbool_val(d->discard_enable);
	return 0;
}

int xlspec_disk(int nspecs, const char *const *specs, struct xl_disk *out, char *err, size_t size)
{
	char *report = NULL;
	size_t len;
	FILE *f = open_memstream(&report, &len);
	XLU_Config *cfg = f ? xlu_cfg_init(f, "disk") : NULL;
	libxl_device_disk d;
	int rc = -ENOMEM;

	if (!cfg)
		goto out;
	memset(out, 0, sizeof(*out));
	libxl_device_disk_init(&d);
	rc = xlu_disk_parse(cfg, nspecs, specs, &d) ? -EINVAL : 0;
	fflush(f);
	if (rc)
		take_report(report, err, size);
	else
		rc = convert(&d, out, err, size);
	libxl_device_disk_dispose(&d);
	xlu_cfg_destroy(cfg);
out:
	if (f)
		fclose(f);
	free(report);
	return rc;
}
