#include "recovery/super/sup_class.h"

const struct sup_class *const sup_classes[SUP_CLASSES] = {&sup_vbd_class, &sup_vif_class};

const struct sup_class *sup_class_of(uint32_t type)
{
	for (unsigned i = 0; i < SUP_CLASSES; i++)
		if (sup_classes[i]->type == type)
			return sup_classes[i];
	return NULL;
}
