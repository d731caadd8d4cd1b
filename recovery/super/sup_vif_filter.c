/* What an experiment does to a vif's packets (net_spec.h): given with its params, changed by an operator at any time. Who serves is told;
 * who follows has it in its start record. */
#include "recovery/super/sup_priv.h"

#include "ring/base/err.h"

#include <errno.h>
#include <string.h>

void sup_vif_filter_put(struct sup_dev *d)
{
	if (d->vif.filtered)
		net_filter_format(&d->vif.filter, d->vif.port.opts);
}
static_assert(sizeof(((struct spec *)0)->opts) >= NET_FILTER_TEXT, "filters");

void sup_vif_filter_text(const struct sup_dev *d, char text[NET_FILTER_TEXT])
{
	struct spec port = d->vif.port;
	struct net_filter f;

	text[0] = '\0';
	if (net_filter_take(&port, &f, NULL, 0) > 0)
		net_filter_format(&f, text);
}

int sup_vif_filter(struct sup_dev *d, const char *options, char *text, size_t size)
{
	struct stub_msg m = {.type = STUB_FILTER};
	struct net_filter f;
	int rc;

	if (d->class != &sup_vif_class)
		return err_say(text, size, -EOPNOTSUPP, "%s is no network interface: a disk's faults are given when it is attached", d->vdev);
	rc = net_filter_parse(options, &f, text, size);
	if (rc < 0)
		return rc;
	d->vif.filter = f;
	d->vif.filtered = true;
	sup_vif_filter_put(d);
	sup_dev_save_now(d);
	net_filter_format(&f, m.text);
	sup_note(d, CTL_EV_NOTE, "filter %s", m.text[0] ? m.text : "off");
	sup_proc_tell(d, &m);
	return 0;
}
static_assert(sizeof(((struct stub_msg *)0)->text) >= NET_FILTER_TEXT, "filters");
