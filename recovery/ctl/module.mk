recovery/ctl.SRCS := ctl_client.c ctl_names.c
recovery/ctl.USES := ring/base ring/os
recovery/ctl.CFLAGS := -Wconversion
