recovery/super.SRCS := keep.c keep_serv.c keep_client.c procs.c
recovery/super.USES := ring/base ring/os
PROGS += bulkhead-keep
bulkhead-keep.SRC := recovery/super/main_keep.c
bulkhead-keep.MODULES := recovery/super ring/os ring/base
