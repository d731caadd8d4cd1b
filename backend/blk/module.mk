backend/blk.SRCS := blkback.c blkback_take.c blkback_ahead.c blkback_load.c blkback_gate.c blkback_run.c blkback_done.c blkback_start.c blkback_range.c blkback_pool.c \
	blkback_grant.c blk_class.c
backend/blk.USES := backend/core backend/engine recovery/journal ring/hv ring/proto ring/os ring/base

PROGS += bulkhead-blk
bulkhead-blk.SRC := backend/blk/main_blkback.c
bulkhead-blk.MODULES := backend/blk backend/core backend/engine recovery/journal ring/hv ring/proto ring/os ring/base
bulkhead-blk.LIBS := -lurcu-qsbr -lurcu-common -luring
bulkhead-blk.STATIC := 1
