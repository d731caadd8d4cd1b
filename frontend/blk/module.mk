frontend/blk.SRCS := blkfront.c blkfront_io.c blkfront_queue.c blkfront_xs.c blk_threads.c
frontend/blk.USES := ring/base ring/os ring/hv xenstore-glue/wire xenstore-glue/client xenstore-glue/bus frontend/core
blkfront_modules := frontend/blk frontend/core xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/os ring/base
PLUGINS += nbdkit-bulkhead-plugin
nbdkit-bulkhead-plugin.SRC := frontend/blk/nbdkit_bulkhead.c
nbdkit-bulkhead-plugin.MODULES := $(blkfront_modules)
