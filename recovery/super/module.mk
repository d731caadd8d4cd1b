recovery/super.SRCS := keep.c keep_serv.c keep_client.c procs.c sup_policy.c sup_health.c sup_fsm.c sup_state.c sup_spawn_linux.c
recovery/super.USES := ring/base ring/os recovery/ctl
PROGS += bulkhead-keep
bulkhead-keep.SRC := recovery/super/main_keep.c
bulkhead-keep.MODULES := recovery/super ring/os ring/base
