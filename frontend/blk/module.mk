frontend/blk.SRCS := blkfront.c blkfront_io.c blkfront_queue.c blkfront_xs.c
frontend/blk.USES := ring/base ring/os ring/hv xenstore-glue/wire xenstore-glue/client xenstore-glue/bus frontend/core
