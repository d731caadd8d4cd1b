# Programs of ours in which the k-th call of a kind fails (failing.c): built as they are, but for these functions. Not static, so
# that a sanitizer build has them as well.
FAIL_PROGS := bulkhead-blk bulkhead-store bulkheadd
FAIL_WRAPS := malloc calloc realloc reallocarray aligned_alloc strdup open __open_2 openat socket socketpair accept4 eventfd \
	memfd_create epoll_create1 timerfd_create signalfd pidfd_open dup3 mmap pread __pread_chk pwrite preadv pwritev fallocate \
	ftruncate fsync fdatasync renameat rename read write
FAIL_HV := hv_map hv_map_ring hv_copy
FAIL_BIN := $(B)/tests/fail/bin
define FAIL_PROG
$(FAIL_BIN)/$(1): $(B)/$($(1).SRC:.c=.o) $(B)/tests/fail/failing.o $(foreach m,$($(1).MODULES),$(call lib,$(m)))
	@mkdir -p $$(@D)
	$(if $(Q),@echo "  LD      $$@")
	$(Q)$(CC) -o $$@ $(FAIL_WRAPS:%=-Wl,--wrap=%) $(if $(filter ring/hv,$($(1).MODULES)),$(FAIL_HV:%=-Wl,--wrap=%)) $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$(LDFLAGS_ALL) $($(1).LIBS) $(foreach m,$($(1).MODULES),$($(m).LIBS))
tests: $(FAIL_BIN)/$(1)
endef
$(foreach p,$(FAIL_PROGS),$(eval $(call FAIL_PROG,$(p))))

$(B)/tests/fail/arm: $(B)/tests/fail/arm.o
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -o $@ $< $(LDFLAGS_ALL)
tests: $(B)/tests/fail/arm

# `make fail STEP=1 TRIES=100000` tries every k; the default is a sample of half a minute.
STEP ?= 9
TRIES ?= 5
fail: deps-check
	@rm -f build/fail-results
	@$(MAKE) --no-print-directory -j$$(nproc) progs tests
	@STEP=$(STEP) TRIES=$(TRIES) TEST_TIMEOUT=1800 tests/run build/fail-results fail tests/fail/world.sh
	@tests/run --sum build/fail-results
.PHONY: fail
