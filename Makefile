# What people type. Everything real is in meson.build and tools/.
#
#   make run      installs what is missing, builds, runs the agent on the embedded store (gRPC 50051, HTTP 8080)
#   make test     installs, builds (optimised, ASan+UBSan, TSan) and runs all tests; the last line counts them
#   make build    the programs in build/, optimised
#   make lint     format, include directions, clang-tidy, cppcheck, manual pages, stale documents
#   make format   lays out all C files
#   make docs     generates docs/{api,configuration,metrics,errors}.md and the lists in docs/man from their tables
#   make bench    installs and runs the benchmarks beside nginx; prints one table
#   make fuzz     fuzzes every target for FUZZ_SECONDS (60) each
#   make chaos    real servers, agents and clients under faults for CHAOS_SECONDS (1200), from CHAOS_SEED (random)
#   make crowd    50 processes with libelection compete under faults for CROWD_SECONDS (1200), from CROWD_SEED (random)
#   make sim      the two simulations over SIM_SEEDS (100000) seeds
#   make install  programs, library, manual pages and documents, into DESTDIR/PREFIX (/usr/local)
#   make clean    removes build/ and build-*/

SHELL        := /bin/bash
BUILD        := build
RELEASE      := -Dbuildtype=release -Ddebug=true
PREFIX       ?= /usr/local
FUZZ_SECONDS ?= 60
SIM_SEEDS    ?= 100000
CHAOS_SECONDS ?= 1200
CROWD_SECONDS ?= 1200
PYTHON       := /usr/bin/python3

.PHONY: run test build lint format docs bench fuzz sim chaos crowd install clean deps deps-test

run: build
	@EA_ENV=$${EA_ENV:-development} EA_KUBE_ENABLE=$${EA_KUBE_ENABLE:-false} exec ./$(BUILD)/election-agent $(ARGS)

test: deps-test
	@$(PYTHON) tools/test.py $(TEST_ARGS)

build: deps
	@tools/build.sh $(BUILD) $(RELEASE)

deps:
	@tools/deps.sh build

deps-test:
	@tools/deps.sh build test

lint: deps-test
	@tools/lint.sh

format:
	@clang-format -i $$(git ls-files '*.c' '*.h' '*.cpp')

docs: build
	@./$(BUILD)/gen_docs docs

bench: build
	@tools/deps.sh test
	@$(PYTHON) bench/run.py $(BENCH_ARGS)

fuzz: deps-test
	@tools/fuzz.sh $(FUZZ_SECONDS)

sim: build
	@./$(BUILD)/tests/sim/sim --seeds $(SIM_SEEDS)
	@./$(BUILD)/tests/sim/quorum/qsim --seeds $(SIM_SEEDS)

chaos: build
	@tools/deps.sh test
	@$(PYTHON) tests/chaos/run.py --seconds $(CHAOS_SECONDS) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED)) $(CHAOS_ARGS)

crowd: build
	@tools/deps.sh test
	@$(PYTHON) tests/chaos/crowd.py --seconds $(CROWD_SECONDS) $(if $(CROWD_SEED),--seed $(CROWD_SEED)) $(CROWD_ARGS)

install: build
	@meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX)) && tools/build.sh $(BUILD) $(RELEASE)
	@meson install -C $(BUILD) --no-rebuild --quiet $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))
	@[ "$$(id -u)" != 0 ] || chown -R --reference=. $(BUILD) # after sudo, its owner must be able to build again

clean:
	@rm -rf build build-*
