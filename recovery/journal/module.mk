recovery/journal.SRCS := jrnl.c jrnl_hdr.c jrnl_replay.c njrnl.c njrnl_replay.c
recovery/journal.USES := ring/base
recovery/journal.CFLAGS := -Wconversion
