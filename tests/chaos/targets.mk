# Chaos with real processes: KILLS= for each of its parts (10000 takes an hour, 200 some minutes), SEED=.
CHAOS_PROGS := $(B)/tests/chaos/chaos_guest $(B)/tests/chaos/chaos_kill
$(B)/tests/chaos/chaos_guest: $(B)/tests/chaos/recorder.o $(B)/tests/chaos/lived.o
$(B)/tests/chaos/chaos_kill: $(B)/tests/chaos/victims.o $(B)/tests/chaos/lived.o
$(CHAOS_PROGS): $(B)/%: $(B)/%.o $(foreach m,$(MODULES),$(call lib,$(m)))
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS_ALL) \
		$(sort $(foreach m,$(MODULES),$($(m).LIBS)))
tests: $(CHAOS_PROGS)

chaos: deps-check
	@rm -f build/chaos-results
	@$(MAKE) --no-print-directory -j$$(nproc) progs tests
	@tests/chaos/all.sh build/chaos-results || true
	@tests/run --sum build/chaos-results
# The part that kills vifs' stubs, alone: KILLS=10000 takes half an hour.
net-campaign: ; @$(MAKE) --no-print-directory chaos PARTS=net
.PHONY: chaos net-campaign
