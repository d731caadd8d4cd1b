ring/os.SRCS := clock_posix.c
ring/os.USES := ring/base
ring/os.CFLAGS := -Wconversion
