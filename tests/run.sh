#!/usr/bin/env bash
# Runs the tests: `make test` without its setup.
#
#   tests/run.sh [FILTER …]          every test, or those whose names contain a FILTER
#   tests/run.sh --check [FILTER …]  only tests that need no namespace
#
# A test that lacks a privilege or a peer is skipped by name (eyepiece_tests::skip!). With CI=true a skip fails the run.
# Full output of each test program: target/tests/*.log. The last line: `N passed, N failed, N skipped`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib.sh
. "$here/lib.sh"
cd "$here/.."
command -v cargo >/dev/null || fail "no cargo: install Rust first (https://rustup.rs)"
export LC_ALL=C

EYEPIECE_RUN_CHECK=
packages=(--workspace)
if [ "${1:-}" = --check ]; then
    EYEPIECE_RUN_CHECK=1
    packages+=(--exclude eyepiece-tests)
    shift
fi
case ${1:-} in -*) fail "unknown option $1 (known: --check)" ;; esac

EYEPIECE_RUN="${CARGO_TARGET_DIR:-$PWD/target}/tests"
mkdir -p "$EYEPIECE_RUN"
# Absolute: the runner works in the crates' folders.
EYEPIECE_RUN=$(cd "$EYEPIECE_RUN" && pwd)
rm -f "$EYEPIECE_RUN"/*.log
for file in counts failed times skips programs; do : >"$EYEPIECE_RUN/$file"; done
EYEPIECE_SKIPS="$EYEPIECE_RUN/skips"
export EYEPIECE_RUN EYEPIECE_RUN_CHECK EYEPIECE_SKIPS
host=$(rustc -vV | sed -n 's/^host: //p')

cargo test "${packages[@]}" --locked --no-run --tests || fail "step failed: building the tests"
bad=0
cargo test "${packages[@]}" --locked --no-fail-fast --config "target.$host.runner=['$here/runner.sh']" \
    --tests -- "$@" 2>"$EYEPIECE_RUN/cargo.log" || bad=1
# Tests in namespaces wait more than they compute: three programs at a time. Each has a /run of its own, so that they share
# no socket, lock or named namespace.
own_run=()
[ "$(id -u)" != 0 ] || own_run=(unshare --mount sh -c 'mount -t tmpfs tmpfs /run && exec "$@"' sh)
export EYEPIECE_RUN_NOW=1 CARGO_PKG_NAME=eyepiece-tests
# The longest first, or the other lanes wait for them at the end.
longest='/(datapath|operation|hubble)-[0-9a-f]*$'
running=0
while read -r folder program; do
    if [ "$running" = 3 ]; then
        wait -n || bad=1
        running=2
    fi
    (cd "$folder" && exec "${own_run[@]}" "$here/runner.sh" "$program" "$@") &
    running=$((running + 1))
done < <(grep -E "$longest" "$EYEPIECE_RUN/programs" || true; grep -vE "$longest" "$EYEPIECE_RUN/programs" || true)
while [ "$running" != 0 ]; do
    wait -n || bad=1
    running=$((running - 1))
done
# Prints a file's lines under a title, if there are any.
section() {
    [ ! -s "$2" ] || { echo && echo "$1" && sed 's/^/    /' "$2"; }
}
sort -rn "$EYEPIECE_RUN/times" | sed -n 1,10p >"$EYEPIECE_RUN/slowest"
section "slowest, in seconds:" "$EYEPIECE_RUN/slowest"
sort -u "$EYEPIECE_SKIPS" | sed 's/^skipped: //' >"$EYEPIECE_RUN/skipped"
section "skipped:" "$EYEPIECE_RUN/skipped"
section "failed:" "$EYEPIECE_RUN/failed"
[ "$bad" = 0 ] || [ -s "$EYEPIECE_RUN/failed" ] || grep -A 5 '^error' "$EYEPIECE_RUN/cargo.log" || true
skipped=$(wc -l <"$EYEPIECE_RUN/skipped")
if [ "$skipped" != 0 ] && [ "${CI:-}" = true ]; then
    echo "In CI no test may be skipped."
    bad=1
fi

echo
# A skipped test returns as if it had passed.
awk -v skipped="$skipped" '{ passed += $1; failed += $2 }
    END { printf "%d passed, %d failed, %d skipped\n", passed - skipped, failed, skipped }' \
    "$EYEPIECE_RUN/counts" | tee "$EYEPIECE_RUN/summary"
exit "$bad"
