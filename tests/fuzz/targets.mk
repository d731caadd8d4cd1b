# libFuzzer targets, each decoder of foreign bytes one; FUZZ_SECONDS for each. Those that run a backend on the simulated
# provider are linked as the tests of tests/sim are.
FUZZ_SIM := fuzz_blkback fuzz_resume fuzz_netback fuzz_net_resume
FUZZ_SIM := $(FUZZ_SIM:%=$(B)/tests/fuzz/%)
FUZZ_PLAIN := $(filter-out $(FUZZ_SIM),$(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c)))
FUZZERS := $(FUZZ_PLAIN) $(FUZZ_SIM)
FUZZ_LINK = $(CC) -fsanitize=fuzzer -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS_ALL) $(TEST_LIBS)
$(FUZZ_PLAIN): $(B)/%: $(B)/%.o $(foreach m,$(MODULES),$(call lib,$(m)))
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(FUZZ_LINK)
$(B)/hook/tests/fuzz/sim.a: $(SIM_HELPERS:%.c=$(B)/hook/%.o) $(addprefix $(B)/hook/ring/os/,wire.o fdmsg.o) \
		$(foreach m,$(SIM_MODULES),$(call objs,$(m),$(B)/hook))
	@mkdir -p $(@D)
	$(Q)rm -f $@; ar rcs $@ $^
$(FUZZ_SIM:$(B)/%=$(B)/hook/%.o): MODFLAGS := -Wno-unused-function # of the rig, which has tests' helpers too
$(FUZZ_SIM): $(B)/%: $(B)/hook/%.o $(B)/hook/tests/fuzz/sim.a
	$(if $(Q),@echo "  LD      $@")
	@mkdir -p $(@D)
	$(Q)$(FUZZ_LINK)
fuzzers: $(FUZZERS)
.PHONY: fuzzers

FUZZ_VARIANT := CC=clang SAN=address,undefined,fuzzer-no-link
fuzz: deps-check
	@rm -f build/fuzz-results
	@$(MAKE) --no-print-directory $(FUZZ_VARIANT) -j$$(nproc) fuzzers
	@$(MAKE) --no-print-directory $(FUZZ_VARIANT) RESULTS=build/fuzz-results run-fuzz
	@tests/run --sum build/fuzz-results
run-fuzz: ; @TEST_TIMEOUT=1400 tests/run $(RESULTS) fuzz tests/fuzz/all.sh
.PHONY: fuzz run-fuzz
