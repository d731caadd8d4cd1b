# Bulkhead. `make help` lists the targets; docs/testing.md says what each check shows.
#
# Knobs: CC=gcc|clang  SAN=address,undefined | SAN=thread  FAULT=1 (fault points)  V=1  PREFIX= DESTDIR=
# Every combination of CC, SAN and FAULT builds in a folder of its own: build/VARIANT.

ifeq ($(origin CC),default)
CC := gcc
endif
SAN ?=
FAULT ?=
V ?= 0
PREFIX ?= /usr/local
DESTDIR ?=

comma := ,
VARIANT := $(notdir $(CC))$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(FAULT),-fault)
B := build/$(VARIANT)
Q := $(if $(filter 1,$(V)),,@)

IS_CLANG := $(findstring clang,$(CC))
CFLAGS_WARN := -Wall -Wextra -Werror -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes \
	$(if $(IS_CLANG),-Wimplicit-fallthrough,-Wimplicit-fallthrough=5)
CFLAGS_HARD := -fno-common -fstack-protector-strong -fPIC -fvisibility=hidden $(if $(SAN),,-D_FORTIFY_SOURCE=3)
# gcc's value ranges are wrong in instrumented code: warnings that rest on them are judged in the plain build.
WARN_OFF_SAN := -Wno-format-overflow -Wno-format-truncation -Wno-maybe-uninitialized -Wno-stringop-overflow
CFLAGS_SAN := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -DBULKHEAD_SAN \
	$(if $(IS_CLANG),,$(WARN_OFF_SAN)))
CFLAGS_ALL := -std=c17 -D_GNU_SOURCE -O2 -g -I. $(CFLAGS_WARN) $(CFLAGS_HARD) $(CFLAGS_SAN) \
	$(if $(FAULT),-DBULKHEAD_FAULT) $(if $(filter thread,$(SAN)),-Wno-tsan) $(CFLAGS)
ifneq ($(IS_CLANG),)
CFLAGS_ALL := $(filter-out -Wno-tsan,$(CFLAGS_ALL))
endif
LDFLAGS_ALL := $(if $(SAN),-fsanitize=$(SAN)) -Wl,--as-needed -pthread $(LDFLAGS)

# Lower layers first. A module.mk holds data only: X.SRCS, X.USES (what it may include), X.CFLAGS, X.LIBS and programs:
#   PROGS += name            name.SRC := main file       name.MODULES := modules      name.LIBS := -l...
#   name.STATIC := 1 links it without shared libraries (never in a sanitizer build)
#   PLUGINS += name          the same, as a shared object
MODULES := ring/base ring/os ring/proto ring/hv ring/chan \
	xenstore-glue/wire xenstore-glue/store xenstore-glue/client xenstore-glue/bus \
	recovery/journal recovery/net recovery/ctl recovery/super recovery/cli \
	backend/engine backend/port backend/core backend/blk backend/net \
	frontend/core frontend/blk frontend/net \
	tests/bench
MODULES := $(foreach m,$(MODULES),$(if $(wildcard $(m)/module.mk),$(m)))
PROGS :=
PLUGINS :=
include $(addsuffix /module.mk,$(MODULES))

lib = $(B)/$(1)/lib.a
objs = $(patsubst %.c,$(2)/%.o,$(addprefix $(1)/,$($(1).SRCS)))

all: progs
.PHONY: all
.DELETE_ON_ERROR:
.SECONDARY:

# A change of flags or compiler rebuilds everything of that variant.
STAMP := $(B)/.flags
FLAGS_NOW := $(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL)
$(shell mkdir -p $(B); [ "$$(cat $(STAMP) 2>/dev/null)" = "$(subst ",\",$(FLAGS_NOW))" ] || \
	printf '%s' "$(subst ",\",$(FLAGS_NOW))" > $(STAMP))

define MODULE
$(call lib,$(1)): $(call objs,$(1),$(B))
$(foreach s,$($(1).SRCS),$(eval $(B)/$(1)/$(s:.c=.o): MODFLAGS := $($(1).CFLAGS)))
$(foreach s,$($(1).SRCS),$(eval $(B)/hook/$(1)/$(s:.c=.o): MODFLAGS := $($(1).CFLAGS)))
endef
$(foreach m,$(MODULES),$(eval $(call MODULE,$(m))))

$(B)/%.o: %.c $(STAMP)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC      $<")
	$(Q)$(CC) $(CFLAGS_ALL) $(MODFLAGS) -MMD -MP -c -o $@ $<

# The same sources with every store to ring and journal killable (ring/base/pm.h).
$(B)/hook/%.o: %.c $(STAMP)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC hook $<")
	$(Q)$(CC) $(CFLAGS_ALL) $(MODFLAGS) -DPM_HOOK -MMD -MP -c -o $@ $<

%/lib.a:
	@mkdir -p $(@D)
	$(Q)rm -f $@; ar rcs $@ $^

define PROG
$(B)/bin/$(1): $(B)/$($(1).SRC:.c=.o) $(foreach m,$($(1).MODULES),$(call lib,$(m)))
	@mkdir -p $$(@D)
	$(if $(Q),@echo "  LD      $$@")
	$(Q)$(CC) $$(if $$(SAN),,$(if $($(1).STATIC),-static)) -o $$@ $$< -Wl,--start-group \
		$(foreach m,$($(1).MODULES),$(call lib,$(m))) -Wl,--end-group $(LDFLAGS_ALL) \
		$($(1).LIBS) $(foreach m,$($(1).MODULES),$($(m).LIBS))
$(B)/$($(1).SRC:.c=.o): MODFLAGS := $($(1).CFLAGS)
progs: $(B)/bin/$(1)
endef
$(foreach p,$(PROGS),$(eval $(call PROG,$(p))))

define PLUGIN
$(B)/lib/$(1).so: $(B)/$($(1).SRC:.c=.o) $(foreach m,$($(1).MODULES),$(call lib,$(m)))
	@mkdir -p $$(@D)
	$(if $(Q),@echo "  LD      $$@")
	$(Q)$(CC) -shared -o $$@ $$< -Wl,--start-group $(foreach m,$($(1).MODULES),$(call lib,$(m))) -Wl,--end-group \
		$(LDFLAGS_ALL) $($(1).LIBS) $(foreach m,$($(1).MODULES),$($(m).LIBS))
$(B)/$($(1).SRC:.c=.o): MODFLAGS := $($(1).CFLAGS)
progs: $(B)/lib/$(1).so
endef
$(foreach p,$(PLUGINS),$(eval $(call PLUGIN,$(p))))

progs:
.PHONY: progs

# ---- tests: every tests/**/test_*.c is a cmocka program; those below tests/sim are built with the killable stores.
TEST_SRCS := $(sort $(shell find tests -name 'test_*.c'))
SIM_SRCS := $(filter-out %/test_world_sim.c,$(filter tests/sim/%,$(TEST_SRCS))) # the simulator has a rule of its own
PLAIN_SRCS := $(filter-out tests/sim/%,$(TEST_SRCS))
TEST_HELPERS := $(filter-out $(TEST_SRCS),$(wildcard tests/*.c))
SIM_HELPERS := $(filter-out $(TEST_SRCS) tests/sim/world_%,$(wildcard tests/sim/*.c))
TEST_LIBS := -lcmocka $(sort $(foreach m,$(MODULES),$($(m).LIBS)))
SIM_MODULES := $(filter-out tests/bench ring/os recovery/super recovery/ctl recovery/cli backend/core xenstore-glue/store xenstore-glue/client,$(MODULES))
TESTS := $(TEST_SRCS:%.c=$(B)/%)

$(PLAIN_SRCS:%.c=$(B)/%): $(B)/%: $(B)/%.o $(TEST_HELPERS:%.c=$(B)/%.o) $(foreach m,$(MODULES),$(call lib,$(m)))
	$(if $(Q),@echo "  LD      $@")
	$(Q)$(CC) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDFLAGS_ALL) $(TEST_LIBS)

$(SIM_SRCS:%.c=$(B)/%): $(B)/%: $(B)/hook/%.o $(SIM_HELPERS:%.c=$(B)/hook/%.o) \
		$(foreach m,$(SIM_MODULES),$(call objs,$(m),$(B)/hook)) | $(B)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LD      $@")
	$(Q)rm -f $@.a; ar rcs $@.a $(filter-out %/$(notdir $*).o,$(filter %.o,$^))
	$(Q)$(CC) -o $@ $(B)/hook/$*.o -Wl,--start-group $@.a -Wl,--end-group $(LDFLAGS_ALL) $(TEST_LIBS)
$(B):
	@mkdir -p $@

tests: $(TESTS)
.PHONY: tests

-include tools/targets.mk $(wildcard tests/*/targets.mk)

clean:
	rm -rf build
.PHONY: clean

-include $(shell find $(B) -name '*.d' 2>/dev/null)
