# Simulations. The crash tests' buffers are recycled (crash_mem.c), but where a sanitizer wants to see them go.
ifeq ($(SAN),)
$(addprefix $(B)/tests/sim/,test_crash test_crash_all test_crash_mutants): LDFLAGS_ALL += -Wl,--wrap=mmap,--wrap=munmap
endif

sim: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) tests
	@for t in $(filter $(B)/tests/sim/%,$(TESTS)); do $$t || exit 1; done
.PHONY: sim

sim-all: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/tests/sim/test_crash_all
	@N=4 $(B)/tests/sim/test_crash_all
.PHONY: sim-all

mutants: deps-check
	@$(MAKE) --no-print-directory -j$$(nproc) $(B)/tests/sim/test_crash_mutants
	@$(B)/tests/sim/test_crash_mutants
.PHONY: mutants
