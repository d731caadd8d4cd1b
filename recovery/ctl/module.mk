recovery/ctl.SRCS := ctl_names.c ctl_server.c ctl_client.c
recovery/ctl.USES := ring/base ring/os
