ring/proto.SRCS := blkif_decode.c
ring/proto.USES := ring/base
ring/proto.CFLAGS := -Wconversion
