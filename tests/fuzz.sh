#!/usr/bin/env bash
# Fuzzes every target from its committed corpus, each for a number of seconds: tests/fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/lib.sh
. tests/lib.sh
seconds=${1:?the seconds for each target}
mkdir -p "${CARGO_TARGET_DIR:-target}"
found=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/fuzz-found

cd exporter
for name in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$name" .rs)
    # New inputs go to a folder outside the tree. No nightly: the sanitizer's flags need the bootstrap switch.
    folders=("$found/$name")
    mkdir -p "${folders[0]}"
    [ ! -d "fuzz/corpus/$name" ] || folders+=("fuzz/corpus/$name")
    RUSTC_BOOTSTRAP=1 cargo fuzz run "$name" "${folders[@]}" \
        -- -max_total_time="$seconds" -print_final_stats=1 -verbosity=0
done
