# The blkif suite: a guest's program, which needs nothing of the host but xenstore, grants and event channels. Static, so that it is
# all that a guest's initramfs needs.
SUITE := $(B)/tests/blkif/bulkhead-blkif-suite
SUITE_MODULES := xenstore-glue/bus xenstore-glue/client xenstore-glue/wire ring/hv ring/os ring/base
$(SUITE): $(patsubst %.c,$(B)/%.o,$(wildcard tests/blkif/*.c)) $(foreach m,$(SUITE_MODULES),$(call lib,$(m)))
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(if $(SAN),,-static) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) \
		$(sort $(foreach m,$(SUITE_MODULES),$($(m).LIBS))) -Wl,--end-group $(LDFLAGS_ALL)
tests: $(SUITE)
E2E += tests/blkif/local.sh
