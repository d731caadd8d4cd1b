# Random sequences of operations against two stores. STORE_SECONDS for each pair.
store-compare: deps-check
	@rm -f build/store-results
	@$(MAKE) --no-print-directory -j$$(nproc) progs
	@$(MAKE) --no-print-directory RESULTS=build/store-results run-store
	@tests/run --sum build/store-results
run-store: ; @tests/run $(RESULTS) store tests/store/all.sh
.PHONY: store-compare run-store
