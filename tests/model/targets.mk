# Models for Spin (docs/testing.md, "Models"): to the end for small sizes, and with one rule after the other taken out.
model model-long: deps-check
	@rm -f build/$@-results
	@$(MAKE) --no-print-directory RESULTS=build/$@-results run-$@
	@tests/run --sum build/$@-results
run-model: ; @TEST_LINES=60 tests/run $(RESULTS) model tests/model/run.sh
run-model-long: ; @tests/model/run.sh long
.PHONY: model model-long run-model run-model-long
