ring/base.SRCS := err.c check.c log.c spec.c
ring/base.USES :=
ring/base.CFLAGS := -Wconversion
