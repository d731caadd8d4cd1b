# Real Xen under emulation (docs/xen.md). check-xen: the short cases, for CI; xen-CASE: one or more, the long ones too
# (XEN_LIMIT= seconds); xen-shell: a prompt in dom0 with this build in it.
XEN_CASES := conform disk nonpersistent deaths save net-deaths
XEN_LIMIT ?= 900
deps-xen: ; @tools/deps build xen
progs-xen: deps-xen
	@$(MAKE) --no-print-directory -j$$(nproc) progs tests
check-xen: progs-xen
	@tests/xen/boot -l $(XEN_LIMIT) -r build/xen-results $(XEN_CASES)
xen-shell: progs-xen
	@tests/xen/boot -i
xen-%: progs-xen
	@tests/xen/boot -l $(XEN_LIMIT) $(subst +, ,$*)
.PHONY: deps-xen progs-xen check-xen xen-shell

# Programs for inside: boot takes them along. The agent is for the guest, which has no library of Xen's.
$(B)/tests/xen/hv_xen: $(B)/tests/xen/hv_xen.o $(B)/tests/xen/hv_far.o $(foreach m,$(MODULES),$(call lib,$(m)))
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS_ALL) $(TEST_LIBS)
$(B)/tests/xen/hv_agent: $(B)/tests/xen/hv_agent.o $(foreach m,ring/hv ring/os ring/base,$(call lib,$(m)))
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) $(if $(SAN),,-static) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -lxenctrl -lxengnttab -lxenevtchn \
		-lxencall -lxentoollog -lxentoolcore -lxenforeignmemory -lxendevicemodel -Wl,--end-group $(LDFLAGS_ALL)
tests: $(B)/tests/xen/hv_xen $(B)/tests/xen/hv_agent
# For who compares: xenctrl.h wants the GNU dialect.
$(B)/tests/xen/cputimes.o: MODFLAGS := -std=gnu17
$(B)/tests/xen/cputimes: $(B)/tests/xen/cputimes.o
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL) -lxenctrl
tests: $(B)/tests/xen/cputimes
