#!/usr/bin/env bash
# Measures everything in one run and prints it: the machine's facts, each bench's figures, the goals at the end.
#
#   tests/bench.sh          all benches (as root, for the kernel programs and the memory of a running eyepiece)
#   tests/bench.sh NAME …   only these: kernel parse enrich count encode hubble filters decode gob pipeline series socket observer memory
#   tests/bench.sh --no-run [NAME …]   builds them only
#
# Figures are the best of several rounds, for other work on the machine only adds to them. Ratios are to a baseline of
# the same run: measured in turns with them, or by criterion just before.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$here/lib.sh"
cd "$here/.."
command -v cargo >/dev/null || fail "no cargo: install Rust first (https://rustup.rs)"
runs=1
if [ "${1:-}" = --no-run ]; then
    runs=
    shift
fi
benches=("$@")
[ $# -gt 0 ] || benches=(kernel parse enrich count encode hubble filters decode gob pipeline series socket observer memory)

# Builds or runs benches of ours, each named by --bench; that of memory only drives a release build, as the end-to-end
# tests drive a debug build.
bench() {
    cargo bench --locked --quiet --package eyepiece "$@"
}

memory() {
    cargo bench --locked --quiet --profile dev --package eyepiece-tests --bench memory "$@"
}

# A file's one line, where it can be read.
value() {
    cat "$1" 2>/dev/null || echo unknown
}

facts() {
    local at=/sys/devices/system/cpu/vulnerabilities file
    echo "CPU         $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
    echo "memory      $(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)"
    echo "kernel      $(uname -r), JIT $(value /proc/sys/net/core/bpf_jit_enable)," \
        "hardening $(value /proc/sys/net/core/bpf_jit_harden)," \
        "run statistics $(value /proc/sys/kernel/bpf_stats_enabled)"
    for file in spectre_v2 retbleed indirect_target_selection; do
        [ ! -r "$at/$file" ] || echo "mitigation  $file: $(value "$at/$file")"
    done
    echo "compiler    $(rustc --version)"
    echo "load        $(cut -d ' ' -f 1-3 /proc/loadavg) (above 0.1, figures suffer)"
}

# Built first, so that no compiler runs while something is measured.
mkdir -p "${CARGO_TARGET_DIR:-target}"
EYEPIECE_BIN=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/release/eyepiece
export EYEPIECE_BIN
ours=()
for name in "${benches[@]}"; do
    if [ "$name" = memory ]; then
        memory --no-run || fail "step failed: building the bench memory"
        cargo build --release --locked --quiet --package eyepiece || fail "step failed: building eyepiece"
    else
        ours+=(--bench "$name")
    fi
done
[ "${#ours[@]}" = 0 ] || bench --no-run "${ours[@]}" || fail "step failed: building the benches"
[ -n "$runs" ] || exit 0

# Criterion's own files go away too: it would compare with another run.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
goals=$work/goals
export EYEPIECE_BENCH_GOALS=$goals CRITERION_HOME=$work/criterion
facts
for name in "${benches[@]}"; do
    if [ "$name" = memory ]; then memory; else bench --bench "$name"; fi
done
if [ -s "$goals" ]; then
    printf '\n%-62s %10s    %-8s\n' goals figure goal
    cat "$goals"
fi
