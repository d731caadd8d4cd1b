# The life of a stub, for every kind of device: start record, opening, narrowing, workers, control socket.
backend/core.SRCS := be_blank.c be_boot.c be_config.c be_ctl.c be_dev.c be_journal.c be_record.c be_worker.c
backend/core.USES := ring/base ring/os ring/hv
backend/core.LIBS := -lurcu-qsbr -lurcu-common
