ring/proto.SRCS := blkif_decode.c netif_decode.c netif_frame.c
ring/proto.USES := ring/base
ring/proto.CFLAGS := -Wconversion
