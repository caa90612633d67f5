# Everything a developer or an operator builds goes through here; `make help` lists it.
# Only apt's and cargo's caches are used outside this folder.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# rustup puts cargo here; a shell that was open before does not know it yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)

CARGO ?= cargo
LOCKED ?= --locked
# Arguments for nextest or the fallback, such as `make test TEST="-p mcpg-ledger"`.
TEST ?= --workspace
FUZZ := tests/fuzz/Cargo.toml
SCHEMA := config/schema/gateway.schema.json

.PHONY: help setup build release run quickstart test test-doc tidy lint fmt clippy doc deny bench conformance schema fuzz-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what a build needs (apt; says what and why)
	@sh .ci/setup.sh

run: setup ## build, start the quickstart gateway on 127.0.0.1:8787, show what it does, stay up
	@CARGO="$(CARGO)" LOCKED="$(LOCKED)" sh config/examples/quickstart/run.sh

quickstart: setup ## build, start a control plane and a gateway that follows it, show what they do, stay up
	$(CARGO) build $(LOCKED) -p mcpg -p mcpg-cp -p mcpg-ctl -p mcpg-tests --bins
	@built=$$($(CARGO) metadata $(LOCKED) --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'); \
		exec "$$built/debug/mcpg-ctl" quickstart --dir "$$built/mcpg-quickstart"

build: setup ## build everything (dev profile)
	$(CARGO) build $(LOCKED) --workspace --bins

release: setup ## build what is deployed: target/release/mcpg, mcpg-cp, mcpg-ctl (minutes: fat LTO)
	$(CARGO) build $(LOCKED) --release -p mcpg -p mcpg-cp -p mcpg-ctl

# Binaries and tests in one build: the end-to-end tests start the real programs.
test: setup ## build and run every test
	$(CARGO) build $(LOCKED) $(TEST) --bins --tests
	@if command -v cargo-nextest >/dev/null 2>&1; then \
		set -x; $(CARGO) nextest run $(LOCKED) $(TEST); \
	else \
		echo 'test: cargo-nextest is not installed, so plain cargo test runs them' >&2; \
		set -x; $(CARGO) test $(LOCKED) $(TEST) --lib --bins --tests; \
	fi

test-doc: setup ## run the examples in the documentation
	$(CARGO) test $(LOCKED) --workspace --doc

tidy: setup ## run the repository's own rules (crate edges, file sizes, names, links)
	$(CARGO) test $(LOCKED) -p mcpg-tests --test tidy

lint: fmt clippy doc deny ## formatting, clippy, rustdoc and dependency rules

fmt:
	$(CARGO) fmt --all --check

clippy: setup
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings

doc: setup
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(LOCKED) --workspace --no-deps --document-private-items

# Advisories need the network; they are .ci/run's.
deny: ## licences, bans and sources of the dependencies (needs cargo-deny)
	@if command -v cargo-deny >/dev/null 2>&1; then \
		set -x; $(CARGO) deny --config .deny.toml check --hide-inclusion-graph bans licenses sources; \
	else \
		echo 'deny: SKIPPED, cargo-deny is not installed (cargo install --locked cargo-deny)' >&2; \
	fi

bench: setup ## microbenchmarks, instruction counts, the ladder and memory, as tables (PARTS="gate ladder")
	@CARGO="$(CARGO)" LOCKED="$(LOCKED)" bash benches/run.sh $(PARTS)

conformance: setup ## the official MCP conformance suite, direct and through the gateway (needs Node 22)
	@bash tests/conformance/run.sh

schema: setup ## regenerate the configuration's JSON Schema
	$(CARGO) run $(LOCKED) -q -p mcpg -- schema > $(SCHEMA).new
	mv $(SCHEMA).new $(SCHEMA)

fuzz-check: setup ## compile the fuzz targets (run them: tests/fuzz/README.md)
	$(CARGO) check $(LOCKED) --manifest-path $(FUZZ) --bins

clean: ## remove what was built
	$(CARGO) clean
