# The few commands of this project; `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test bench build decode

target := $(or $(CARGO_TARGET_DIR),target)

help: ## list these
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: build ## build, then show flows of three hosts on this machine (as root)
	$(target)/release/eyepiece demo

test: ## set up what is missing, then run every test (as root)
	tests/setup.sh test
	tests/run.sh

decode: ## compare a million mutated payloads with what Cilium makes of them
	tests/setup.sh test
	EYEPIECE_DECODE_ROWS=1000000 cargo test --locked --package eyepiece-tests --test decode -- --nocapture mutated

bench: ## measure everything, each figure against a baseline of the same run (as root)
	tests/setup.sh bench
	tests/bench.sh

build: ## set up what is missing, then build target/release/eyepiece
	tests/setup.sh build
	cargo build --release --locked --package eyepiece
