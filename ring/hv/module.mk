ring/hv.SRCS := hv.c hv_open.c hub.c hub_mem.c
ring/hv.USES := ring/base ring/os
ring/hv.CFLAGS := -Wconversion
