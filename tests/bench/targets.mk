# Benches: figures into build/bench/NAME.json, a picture into docs/pictures, the table into docs/benchmarks.md.
# BENCH_ARGS: more options for `bulkhead bench`, --rounds 3 for one.
BENCH_RESULTS := build/bench
deps-bench: ; @tools/deps build demo bench
.PHONY: deps-bench

# One after the other, each with the machine for itself as far as make can see to it.
bench: deps-bench
	@$(MAKE) --no-print-directory -j$$(nproc) progs
	@for b in $$($(B)/bin/bulkhead-bench --list); do $(MAKE) --no-print-directory run-bench-$$b || exit 1; done
bench-%: deps-bench
	@$(MAKE) --no-print-directory -j$$(nproc) progs
	@$(MAKE) --no-print-directory run-bench-$*
run-bench-%:
	@mkdir -p $(BENCH_RESULTS)
	@echo "  BENCH   $*"
	$(Q)tools/bench-docs --machine > $(BENCH_RESULTS)/$*.new
	$(Q)$(B)/bin/bulkhead-bench $* --json --plot docs/pictures $(BENCH_ARGS) >> $(BENCH_RESULTS)/$*.new
	$(Q)mv $(BENCH_RESULTS)/$*.new $(BENCH_RESULTS)/$*.json
	$(Q)tools/bench-docs docs/benchmarks.md $(BENCH_RESULTS)/$*.json
.PHONY: bench

# With and without DPDK; its headers are not clean by our warnings. Its coming or going rebuilds the file.
$(B)/tests/bench/bench_ring_rte.o: MODFLAGS := $(if $(DPDK),-DHAVE_DPDK $(patsubst -I%,-isystem%,$(shell pkg-config --cflags libdpdk)))
$(B)/tests/bench/bench_ring_rte.o: $(B)/.dpdk
$(shell [ "$$(cat $(B)/.dpdk 2>/dev/null)" = "dpdk=$(DPDK)" ] || echo "dpdk=$(DPDK)" > $(B)/.dpdk)
