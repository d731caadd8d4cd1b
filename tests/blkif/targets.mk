# The blkif suite: a guest's program, which needs nothing of the host but xenstore, grants and event channels.
SUITE := $(B)/tests/blkif/bulkhead-blkif-suite
SUITE_MODULES := xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/os ring/base
$(SUITE): $(patsubst %.c,$(B)/%.o,$(wildcard tests/blkif/*.c)) $(foreach m,$(SUITE_MODULES),$(call lib,$(m)))
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS_ALL) \
		$(sort $(foreach m,$(SUITE_MODULES),$($(m).LIBS)))
tests: $(SUITE)
E2E += tests/blkif/local.sh
