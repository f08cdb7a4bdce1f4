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
    local name=$1 folders=("$found/$1") code=0
    mkdir -p "${folders[0]}"
    [ ! -d "fuzz/corpus/$name" ] || folders+=("fuzz/corpus/$name")
    cargo fuzz run "$name" "${folders[@]}" -- -max_total_time="$seconds" -print_final_stats=1 -verbosity=0 \
        >"$found/$name.log" 2>&1 || code=$?
    echo "=== $name" && cat "$found/$name.log"
    return "$code"
}
export -f fuzz

cd exporter
cargo fuzz build
for name in fuzz/fuzz_targets/*.rs; do basename "$name" .rs; done | xargs -P "$(nproc)" -I {} bash -c 'fuzz {}'
