# `bulkhead bench`: may use everything, both ends of the ring included.
tests/bench.SRCS := report.c bench_ring.c
tests/bench.LIBS := -ljansson -lm
PROGS += bulkhead-bench
bulkhead-bench.SRC := tests/bench/main_bench.c
bulkhead-bench.MODULES := tests/bench backend/blk backend/core backend/engine frontend/blk frontend/core recovery/journal recovery/ctl \
	xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/proto ring/os ring/base
bulkhead-bench.LIBS := -ljansson -lm -luring -lurcu-qsbr -lurcu-common
