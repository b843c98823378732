# For those whose fingers type make; everything is done by ./run. ARGS are passed on: make test ARGS="tests/unit -x"

.DEFAULT_GOAL := help
TARGETS := demo example test quick soak lint format types docs package coverage all setup clean

.PHONY: help $(TARGETS)

help:  ## list the targets
	@./run help | sed -e 's,usage: ./run COMMAND \[ARGUMENTS\],usage: make TARGET [ARGS="..."],' \
	    -e 's,\./run test tests/integration -k stream -x,make test ARGS="tests/integration -x",' -e 's,\./run,make,g'

$(TARGETS):
	@./run $@ $(ARGS)
