# For those whose fingers type make; everything is done by ./run. ARGS are passed on: make test ARGS="tests/unit -x"

.DEFAULT_GOAL := help
TARGETS := demo test quick lint format types docs package coverage all setup clean

.PHONY: help $(TARGETS)

help:  ## list the targets
	@./run help | sed 's,usage: ./run COMMAND \[ARGUMENTS\],usage: make TARGET [ARGS="..."],'

$(TARGETS):
	@./run $@ $(ARGS)
