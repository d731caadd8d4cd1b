recovery/super.SRCS := keep.c keep_serv.c keep_client.c procs.c sup_policy.c sup_health.c sup_fsm.c sup_state.c \
	sup_spawn_linux.c sup_dirs.c sup_domain.c sup_image.c sup.c sup_dev.c sup_class.c sup_offer.c sup_helper.c sup_vbd.c sup_vbd_offer.c sup_vif.c sup_vif_port.c sup_vif_steer.c sup_vif_attach.c sup_vif_leave.c sup_vif_mcast.c sup_vif_filter.c sup_conn.c sup_proc.c sup_blank.c sup_group.c \
	sup_msg.c sup_watch.c sup_held.c sup_adopt.c sup_lost.c sup_resize.c sup_twin.c sup_bus.c sup_status.c
recovery/super.USES := ring/base ring/os ring/hv xenstore-glue/wire xenstore-glue/client xenstore-glue/bus recovery/journal \
	recovery/ctl recovery/net
PROGS += bulkhead-keep bulkheadd bulkhead-autoprobe
bulkhead-keep.SRC := recovery/super/main_keep.c
bulkhead-keep.MODULES := recovery/super ring/os ring/base
bulkheadd.SRC := recovery/super/main_super.c
bulkheadd.MODULES := recovery/super recovery/ctl recovery/net xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/os \
	ring/base
bulkhead-autoprobe.SRC := recovery/super/main_autoprobe.c
bulkhead-autoprobe.MODULES := xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/os ring/base
