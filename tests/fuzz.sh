#!/usr/bin/env bash
# Fuzzes every target from its committed corpus, each for a number of seconds, as many at a time as there are CPUs:
# tests/fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/lib.sh
. tests/lib.sh
seconds=${1:?the seconds for each target}
mkdir -p "${CARGO_TARGET_DIR:-target}"
found=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/fuzz-found
# No nightly: the sanitizer's flags need the bootstrap switch.
export RUSTC_BOOTSTRAP=1 found seconds

# Fuzzes one target; its output is printed in one piece.
fuzz() {
    # New inputs go to a folder outside the tree.
    local name=$1 code=0
    mkdir -p "$found/$name"
    cargo fuzz run "$name" "$found/$name" "fuzz/corpus/$name" -- \
        -max_total_time="$seconds" -print_final_stats=1 -verbosity=0 >"$found/$name.log" 2>&1 || code=$?
    echo "=== $name" && cat "$found/$name.log"
    return "$code"
}
export -f fuzz

cd exporter
mapfile -t names < <(basename --suffix .rs fuzz/fuzz_targets/*.rs)
for name in "${names[@]}"; do
    [ -d "fuzz/corpus/$name" ] ||
        fail "no corpus of the fuzz target $name: add seeds to exporter/fuzz/corpus/$name (git add --force)"
done
cargo fuzz build
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I {} bash -c 'fuzz {}'
