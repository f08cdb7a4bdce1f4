# The few commands of this project; `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo check test bench build decode metrics fuzz

target := $(or $(CARGO_TARGET_DIR),target)
seconds := 600

help: ## list these
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: build ## build, then show flows of three hosts on this machine (as root)
	$(target)/release/eyepiece demo

check: ## format, clippy, and the tests that need no namespace
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	tests/run.sh --check

test: ## set up what is missing, then run every test (as root)
	tests/setup.sh test
	tests/run.sh

decode: ## compare a million mutated payloads with what Cilium makes of them
	tests/setup.sh test
	EYEPIECE_DECODE_ROWS=1000000 cargo test --locked --package eyepiece-tests --test peers -- --nocapture mutated

metrics: ## compare the metrics of 100,000 flows with those of Cilium's handlers
	tests/setup.sh test
	EYEPIECE_METRIC_FLOWS=100000 cargo test --locked --package eyepiece-tests --test peers -- --nocapture metrics

fuzz: ## fuzz every target, each for `seconds` (600)
	tests/setup.sh ci
	tests/fuzz.sh $(seconds)

bench: ## measure everything, each figure against a baseline of the same run (as root)
	tests/setup.sh bench
	tests/bench.sh

build: ## set up what is missing, then build target/release/eyepiece
	tests/setup.sh build
	cargo build --release --locked --package eyepiece
