recovery/cli.SRCS := cli_world.c cli_hub.c cli_xen.c cli_dom.c cli_attach.c cli_disk.c cli_vif.c cli_status.c cli_metrics.c cli_events.c cli_act.c cli_doctor.c \
	doctor.c doctor_xen.c doctor_kernel.c doctor_net.c doctor_world.c xlspec.c xlspec_vif.c
recovery/cli.USES := recovery/ctl recovery/super recovery/net xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/os ring/base

PROGS += bulkhead
bulkhead.SRC := recovery/cli/main_cli.c
bulkhead.MODULES := recovery/cli recovery/ctl recovery/net xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/os ring/base
bulkhead.LIBS := -ljansson -lxlutil -lxenlight
