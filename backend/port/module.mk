backend/port.SRCS := port.c port_null.c port_pair.c port_tap.c filter.c
backend/port.USES := ring/base ring/os
