backend/engine.SRCS := engine.c engine_util.c ofd_fence.c engine_null.c engine_mem.c engine_file.c file_geometry.c \
	file_uring.c file_threads.c filter.c filter_fault.c filter_delay.c
backend/engine.USES := ring/base ring/os
backend/engine.LIBS := -luring
