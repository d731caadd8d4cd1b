recovery/journal.SRCS := jrnl.c jrnl_replay.c
recovery/journal.USES := ring/base
recovery/journal.CFLAGS := -Wconversion
