ring/hv.SRCS := hv.c hv_open.c hv_local.c hv_local_map.c hv_xen.c hub.c hub_mem.c hub_store.c hub_client.c
ring/hv.USES := ring/base ring/os
# xenctrl.h wants the GNU dialect.
ring/hv.CFLAGS := -Wconversion -std=gnu17
PROGS += bulkhead-hub
bulkhead-hub.SRC := ring/hv/main_hub.c
bulkhead-hub.MODULES := ring/hv ring/os ring/base
bulkhead-hub.CFLAGS := -Wconversion
ring/hv.LIBS := -lxengnttab -lxenevtchn -lxenctrl -lxencall -lxenforeignmemory -lxendevicemodel -lxentoollog -lxentoolcore
