# Simulations: the crash tests.
ifeq ($(SAN),)
$(B)/tests/sim/test_crash $(B)/tests/sim/test_crash_all $(B)/tests/sim/test_crash_mutants: \
	LDFLAGS_ALL += -Wl,--wrap=mmap,--wrap=munmap
endif

sim: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) tests
	@for t in $(filter $(B)/tests/sim/%,$(TESTS)); do $$t || exit 1; done
.PHONY: sim

mutants: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/tests/sim/test_crash_mutants
	@$(B)/tests/sim/test_crash_mutants
.PHONY: mutants
