# `bulkhead bench`: may use everything, both ends of the ring included.
tests/bench.SRCS := report.c bench_ring.c bench_ring_rig.c bench_ring_front.c bench_ring_bare.c bench_ring_plain.c bench_ring_ours.c \
	bench_ring_unchecked.c bench_ring_blkback.c bench_ring_wfcqueue.c bench_ring_rte.c \
	bench_world.c bench_blk.c bench_blk_front.c bench_blk_fio.c bench_latency.c bench_events.c load.c core_pipe.c \
	bench_outage.c bench_second.c bench_many.c bench_net.c net_dpdk.c net_flow.c net_load.c net_path.c net_rig.c
tests/bench.LIBS := -ljansson -lm
PROGS += bulkhead-bench
bulkhead-bench.SRC := tests/bench/main_bench.c
bulkhead-bench.MODULES := tests/bench backend/blk backend/net backend/port backend/core backend/engine frontend/blk frontend/net frontend/core recovery/net recovery/journal recovery/ctl \
	xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/proto ring/os ring/base
bulkhead-bench.LIBS := -luring -lurcu-qsbr -lurcu-common

# DPDK's ring is a peer of one bench where it is installed (targets.mk).
DPDK := $(shell pkg-config --exists libdpdk 2>/dev/null && echo yes)
bulkhead-bench.LIBS += $(if $(DPDK),-lrte_ring)
