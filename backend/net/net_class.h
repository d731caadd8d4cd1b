/* net_class.h - network devices as a kind of device of a stub (be_class.h). */
#ifndef BULKHEAD_BACKEND_NET_NET_CLASS_H
#define BULKHEAD_BACKEND_NET_NET_CLASS_H

#include "backend/core/be_class.h"

extern const struct be_class net_class;

#endif
