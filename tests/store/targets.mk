# Random sequences of operations against two stores. STORE_SECONDS for each pair.
store-compare: deps-check
	@rm -f build/store-results
	@$(MAKE) --no-print-directory -j$$(nproc) progs
	@$(MAKE) --no-print-directory RESULTS=build/store-results run-store
	@tests/run --sum build/store-results
run-store: ; @tests/run $(RESULTS) store tests/store/all.sh
.PHONY: store-compare run-store
# With Xen's own xenstored, which runs without Xen on a few of its libraries' functions: XENSTORED=/usr/lib/xen-4.17/bin/xenstored
# Short sequences: xenstored lets a domain that wrote much sleep for half a minute.
XENSTORED ?= $(firstword $(wildcard /usr/lib/xen-*/bin/xenstored))
$(B)/tests/store/fakexen.so: tests/store/fakexen.c
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -fPIC -O2 -Wall -Wextra -Werror -o $@ $< -ldl
store-compare-xen: progs $(B)/tests/store/fakexen.so
	@[ -n "$(XENSTORED)" ] || { echo "skip: no xenstored; it is in Debian's xen-utils-4.17"; exit 77; }
	@tests/store/compare.py --b "cmd:$(XENSTORED) -N" --steps 150 --seconds $${STORE_SECONDS:-10}
.PHONY: store-compare-xen
