# libFuzzer targets, each decoder of foreign bytes one; FUZZ_SECONDS for each.
FUZZERS := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
$(FUZZERS): $(B)/%: $(B)/%.o $(foreach m,$(MODULES),$(call lib,$(m)))
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -fsanitize=fuzzer -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS_ALL) \
		$(sort $(foreach m,$(MODULES),$($(m).LIBS)))
fuzzers: $(FUZZERS)
.PHONY: fuzzers

FUZZ_VARIANT := CC=clang SAN=address,undefined,fuzzer-no-link
fuzz: deps-check
	@rm -f build/fuzz-results
	@$(MAKE) --no-print-directory $(FUZZ_VARIANT) -j$$(nproc) fuzzers
	@$(MAKE) --no-print-directory $(FUZZ_VARIANT) RESULTS=build/fuzz-results run-fuzz
	@tests/run --sum build/fuzz-results
run-fuzz: ; @tests/run $(RESULTS) fuzz tests/fuzz/all.sh
.PHONY: fuzz run-fuzz
