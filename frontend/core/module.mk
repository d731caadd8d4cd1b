frontend/core.SRCS := fe_pool.c fe_ring.c
frontend/core.USES := ring/base ring/os ring/proto ring/hv
