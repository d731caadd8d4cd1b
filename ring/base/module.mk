ring/base.SRCS := err.c check.c log.c spec.c net_spec.c
ring/base.USES :=
ring/base.CFLAGS := -Wconversion
