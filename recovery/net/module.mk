recovery/net.SRCS := tap.c
recovery/net.USES := ring/base ring/os
