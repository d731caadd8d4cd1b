ring/os.SRCS := acceptor.c clock_posix.c fdmsg.c loop_epoll.c rundir.c slice_linux.c sandbox_linux.c sandbox_calls_linux.c \
	wire.c xen_host.c
ring/os.USES := ring/base
ring/os.CFLAGS := -Wconversion
ring/os.LIBS := -lcap -lseccomp
