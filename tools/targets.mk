# What a person types. Data on what to build is in */module.mk, the rules for building in Makefile.

.DEFAULT_GOAL := all
RESULTS := $(B)/results
E2E := $(sort $(wildcard tests/e2e/*.sh))
E2E := $(filter-out %functions.sh,$(E2E))
# With a sanitizer: without what is of the kernel and of other people's programs; with ThreadSanitizer those in which a stub's threads meet.
E2E := $(if $(SAN),$(filter-out %/fence_engine.sh %/nbdkit_tools.sh,$(E2E)),$(E2E))
THREADED := blk_features blk_kills net_guest net_kills net_steer placement super_deaths super_hang
E2E := $(if $(filter thread,$(SAN)),$(filter $(THREADED:%=tests/e2e/%.sh),$(E2E)),$(E2E))
# What a sanitizer's build leaves out. ThreadSanitizer knows no fences, by which the two ends of a ring go: some tests have both of
# them in one process. The crash tests have one thread, so it has nothing to look at; the long ones run without AddressSanitizer
# too, as does the simulator, whose threads are coroutines.
LEFT_OUT := $(if $(SAN),test_crash_all test_crash_mutants test_world_sim) \
	$(if $(filter thread,$(SAN)),test_net_rig test_net_verify test_netfront test_crash test_netcrash test_netcrash_mutants)
TESTS_HERE := $(filter-out $(addprefix %/,$(LEFT_OUT)),$(TESTS))
QUICK := $(filter $(B)/tests/unit/% $(B)/tests/conform/%,$(TESTS_HERE))
SLOW := $(filter-out $(QUICK),$(TESTS_HERE))
export BULKHEAD_BUILD := $(B)

# Programs that tests start; slowfs needs libfuse3 and is left out where that is missing (its test says so).
FUSE3 := $(shell pkg-config --exists fuse3 2>/dev/null && echo yes)
TOOLS := $(patsubst %.c,$(B)/%,$(filter-out $(if $(FUSE3),,%/slowfs.c),$(wildcard tests/tools/*.c)))
$(B)/tests/tools/slowfs.o: MODFLAGS := $(shell pkg-config --cflags fuse3 2>/dev/null)
$(B)/tests/tools/slowfs: TOOL_LIBS := $(shell pkg-config --libs fuse3 2>/dev/null)
$(TOOLS): $(B)/%: $(B)/%.o $(foreach m,$(MODULES),$(call lib,$(m)))
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS_ALL) $(TOOL_LIBS) \
		$(sort $(foreach m,$(MODULES),$($(m).LIBS)))
tests: $(TOOLS)

help:
	@echo 'make            build everything into build/VARIANT/{bin,lib}'
	@echo 'make demo       install what is missing, build, and show the main job: disks and network go on while their backends die (about a minute)'
	@echo 'make check      install what is missing, build, run every test that needs no real Xen (under 10 minutes)'
	@echo 'make quick      the part of the tests that takes a minute: lint, unit, conformance'
	@echo 'make check-san  the tests again under AddressSanitizer+UBSan and under ThreadSanitizer'
	@echo 'make fuzz       every decoder of foreign bytes under libFuzzer, FUZZ_SECONDS=30 each'
	@echo 'make bench      measures everything and writes the tables of docs/benchmarks.md; bench-NAME: one of them'
	@echo 'make chaos      real processes killed at random, KILLS=10000 for each of four parts (200: some minutes), SEED=; net-campaign: vifs alone'
	@echo 'make model      the models in tests/model, to the end with Spin (make model-long: larger sizes)'
	@echo 'make store-compare  random operations on two stores, one of them killed and restarted'
	@echo 'make fail       the k-th failing call in a stub, the supervisor, the store; STEP=1 TRIES=9999: all of them'
	@echo 'make check-xen  real Xen under emulation: unmodified guests on our backends; xen-CASE: one case; xen-shell: a prompt in dom0'
	@echo 'make store-compare-xen  the same with the real xenstored (XENSTORED=PATH)'
	@echo 'make sim        the crash test alone; SEED=, N= for more than the default'
	@echo 'make lint       layers, function length, shell scripts, man pages'
	@echo 'make layers     prints the graph of modules'
	@echo 'make sim-all    the long form of the exhaustive crash test: about ten minutes'
	@echo 'make sim-vifs   the long form of the simulated worlds with vifs: about ten minutes; SEED=, N='
	@echo 'make mutants    the crash tests with one rule taken out at a time: which is found by what'
	@echo 'make install    DESTDIR= PREFIX=/usr/local SYSCONFDIR=/etc: programs, nbdkit plugin, man pages, service, script of xl'
	@echo 'make clean      removes build/'
	@echo 'Knobs: CC=gcc|clang SAN=address,undefined|thread FAULT=1 V=1'
.PHONY: help

deps-build: ; @tools/deps build
deps-demo: ; @tools/deps build demo
deps-check: ; @tools/deps build check
.PHONY: deps-build deps-demo deps-check

# Steps run one after the other in makes of their own, so that -j of the builder never mixes them.
demo: deps-demo
	@$(MAKE) --no-print-directory -j$$(nproc) progs
	@tools/demo
.PHONY: demo

check: deps-check
	@rm -f $(RESULTS)
	@$(MAKE) --no-print-directory -j$$(nproc) progs tests
	@$(MAKE) --no-print-directory CC=clang -j$$(nproc) progs
	@$(MAKE) --no-print-directory run-lint run-quick run-slow run-e2e run-unprivileged
	@tests/run --sum $(RESULTS)
.PHONY: check

quick: deps-check
	@rm -f $(RESULTS)
	@$(MAKE) --no-print-directory -j$$(nproc) progs tests
	@$(MAKE) --no-print-directory run-lint run-quick
	@tests/run --sum $(RESULTS)
.PHONY: quick

run-lint: ; @tests/run $(RESULTS) lint $(sort $(wildcard tests/lint/*.sh))
# One for each processor: these share nothing with one another.
run-quick: ; @TEST_JOBS=$$(nproc) tests/run $(RESULTS) quick $(QUICK)
run-slow: ; @TEST_JOBS=$$(nproc) tests/run $(RESULTS) sim $(SLOW)
run-e2e: ; @[ -z "$(E2E)" ] || tests/run $(RESULTS) "$$([ $$(id -u) = 0 ] && echo root || echo user)" $(E2E)
# Root's second pass: the same as an ordinary user, from a copy that such a user can read. What takes long and says nothing more
# without root is left out.
run-unprivileged: ; @[ $$(id -u) != 0 ] || tools/as-user $(RESULTS) $(B) \
	$(filter-out %/bench.sh %/blk_kills.sh %/fence_engine.sh tests/blkif/local.sh,$(E2E)) \
	$(filter $(B)/tests/unit/os/% $(B)/tests/unit/core/% $(B)/tests/unit/super/%,$(QUICK))
.PHONY: run-lint run-quick run-slow run-e2e run-unprivileged

lint: run-lint
.PHONY: lint

check-san: deps-check
	@rm -f build/san-results
	@$(MAKE) --no-print-directory -j$$(nproc) progs
	@for s in address,undefined thread; do \
		$(MAKE) --no-print-directory SAN=$$s -j$$(nproc) progs tests && \
		$(MAKE) --no-print-directory SAN=$$s TRIALS=1 RESULTS=build/san-results run-quick run-slow run-e2e || exit 1; done
	@tests/run --sum build/san-results
.PHONY: check-san

layers: ; @tests/lint/layers.py --print
.PHONY: layers

LIBEXEC := $(PREFIX)/libexec/bulkhead
SYSCONFDIR ?= /etc
# Where this nbdkit looks for `nbdkit bulkhead`, whatever PREFIX is.
NBDKIT_PLUGINS = $(or $(shell nbdkit --dump-config 2>/dev/null | sed -n 's/^plugindir=//p'),$(PREFIX)/lib/nbdkit/plugins)
USER_PROGS := bulkhead bulkhead-blkfront bulkhead-netfront
MAN := $(wildcard docs/man/*.[1-8])
install: progs
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(LIBEXEC) $(DESTDIR)$(NBDKIT_PLUGINS) \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 $(addprefix $(B)/bin/,$(filter $(USER_PROGS),$(PROGS))) $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(addprefix $(B)/bin/,$(filter-out $(USER_PROGS),$(PROGS))) $(DESTDIR)$(LIBEXEC)
	for d in bulkheadd bulkhead-store; do ln -sf $(LIBEXEC)/$$d $(DESTDIR)$(PREFIX)/sbin/$$d; done
	install -m 644 $(B)/lib/nbdkit-bulkhead-plugin.so $(DESTDIR)$(NBDKIT_PLUGINS)
	for m in $(MAN); do install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$$(basename $$m); done
	install -m 644 tools/bulkhead.completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/bulkhead
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@LIBEXEC@|$(LIBEXEC)|' tools/systemd/bulkhead.service.in >$(DESTDIR)$(PREFIX)/lib/systemd/system/bulkhead.service
	install -D -m 644 tools/systemd/bulkhead-modules.conf $(DESTDIR)$(PREFIX)/lib/modules-load.d/bulkhead.conf
	install -D -m 755 -t $(DESTDIR)$(SYSCONFDIR)/xen/scripts tools/xen/*-bulkhead
	for m in bridge nat route openvswitch antispoof antispoof-bridge antispoof-nat antispoof-route; do \
		ln -sf vif-bulkhead $(DESTDIR)$(SYSCONFDIR)/xen/scripts/vif-bulkhead-$$m; done
.PHONY: install
