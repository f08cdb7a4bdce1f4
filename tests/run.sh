#!/usr/bin/env bash
# Runs the whole test suite and says what ran: `make test` without its setup.
#
#   tests/run.sh                 every test; fails where one failed, or where tests/LISTED and what ran differ
#   tests/run.sh FILTER …        only tests whose names contain FILTER; the list is not compared
#   tests/run.sh --update-list   writes tests/LISTED anew from the tests there are, and runs none
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

EYEPIECE_RUN="${CARGO_TARGET_DIR:-$PWD/target}/tests"
mkdir -p "$EYEPIECE_RUN"
# Absolute, for the runner works in the crates' folders.
EYEPIECE_RUN=$(cd "$EYEPIECE_RUN" && pwd)
rm -f "$EYEPIECE_RUN"/*.log
for file in results names skips cargo.log; do : >"$EYEPIECE_RUN/$file"; done
EYEPIECE_SKIPS="$EYEPIECE_RUN/skips"
export EYEPIECE_RUN EYEPIECE_SKIPS
host=$(rustc -vV | sed -n 's/^host: //p')

listing=
filters=()
case ${1:-} in
--update-list) listing=1 ;;
-*) fail "unknown option $1 (known: --update-list)" ;;
*) filters=("$@") ;;
esac

broken=0
# Runs programs by the runner; $1 tells a library from a command of the same name.
tests_of() {
    local kind=$1
    shift
    EYEPIECE_RUN_KIND="$kind" EYEPIECE_RUN_LIST="$listing" \
        cargo test --workspace --locked --no-fail-fast --config "target.$host.runner=['$here/runner.sh']" "$@" \
        -- "${filters[@]}" 2>>"$EYEPIECE_RUN/cargo.log" || broken=1
}

# Documentation's examples: rustdoc runs them, so their results are read from its lines; line numbers move, so they go.
doc_tests() {
    local log="$EYEPIECE_RUN/doc.log" name='s/^test \(.*\) (line [0-9]*)\(.*\) \.\.\. '
    if [ -n "$listing" ]; then
        cargo test --workspace --locked --doc -- --list --format terse >"$log" 2>>"$EYEPIECE_RUN/cargo.log" || broken=1
        sed -n 's/^\(.*\) (line [0-9]*).*: test$/doc::\1/p' "$log" >>"$EYEPIECE_RUN/names"
        return
    fi
    if ! cargo test --workspace --locked --doc --no-fail-fast -- "${filters[@]}" >"$log" 2>&1; then
        broken=1
        cat "$log"
    fi
    sed -n "${name}ok\$/passed doc::\\1/p; ${name}FAILED\$/failed doc::\\1/p; ${name}ignored.*/ignored doc::\\1/p" "$log" |
        sort -u >>"$EYEPIECE_RUN/results"
    sed -n 's/^test result: ok\. \([1-9][0-9]* passed; [0-9]* failed; [0-9]* ignored\).*/doc: ok. \1/p' "$log"
}

cargo test --workspace --locked --no-run --tests || fail "step failed: building the tests"
tests_of "" --lib --test '*'
tests_of "(main)" --bins
doc_tests

if [ -n "$listing" ]; then
    [ "$broken" = 0 ] || { cat "$EYEPIECE_RUN/cargo.log" >&2; fail "step failed: listing the tests"; }
    sort -u "$EYEPIECE_RUN/names" >"$here/LISTED"
    say "tests/LISTED now names $(wc -l <"$here/LISTED") tests"
    exit 0
fi

# --- what ran, and what should have ------------------------------------------------------------------------------------

of() {
    sed -n "s/^$1 //p" "$EYEPIECE_RUN/results" | sort -u
}
sed -n 's/^skipped: \([^ ]*\): .*/\1/p' "$EYEPIECE_SKIPS" | sort -u >"$EYEPIECE_RUN/skipped"
of failed >"$EYEPIECE_RUN/failed"
# A skipped test has returned as if it had passed; one that skipped and failed has failed.
of passed | comm -23 - "$EYEPIECE_RUN/failed" | comm -23 - "$EYEPIECE_RUN/skipped" >"$EYEPIECE_RUN/passed"
comm -23 "$EYEPIECE_RUN/skipped" "$EYEPIECE_RUN/failed" >"$EYEPIECE_RUN/only-skipped"
of ignored >"$EYEPIECE_RUN/ignored"

bad=$broken
complain() {
    [ -s "$2" ] || return 0
    echo
    echo "$1"
    sed 's/^/    /' "$2"
}

if [ "${#filters[@]}" = 0 ]; then
    sort -u "$EYEPIECE_RUN/passed" "$EYEPIECE_RUN/failed" "$EYEPIECE_RUN/only-skipped" >"$EYEPIECE_RUN/ran"
    sort -u "$here/LISTED" | comm -23 - "$EYEPIECE_RUN/ran" >"$EYEPIECE_RUN/not-run"
    sort -u "$here/LISTED" | comm -13 - "$EYEPIECE_RUN/ran" >"$EYEPIECE_RUN/not-listed"
    if [ -s "$EYEPIECE_RUN/not-run" ] || [ -s "$EYEPIECE_RUN/not-listed" ]; then bad=1; fi
    complain "tests/LISTED names these, but they did not run (tests/run.sh --update-list if they are gone on purpose):" \
        "$EYEPIECE_RUN/not-run"
    complain "these ran, but tests/LISTED does not name them (add them by tests/run.sh --update-list):" \
        "$EYEPIECE_RUN/not-listed"
fi
complain "ignored:" "$EYEPIECE_RUN/ignored"
sort -u "$EYEPIECE_SKIPS" | sed 's/^skipped: //' >"$EYEPIECE_RUN/reasons"
complain "skipped:" "$EYEPIECE_RUN/reasons"
if [ -s "$EYEPIECE_RUN/only-skipped" ] && [ "${CI:-}" = true ]; then
    echo "In CI nothing may be skipped."
    bad=1
fi
complain "failed:" "$EYEPIECE_RUN/failed"
if [ -s "$EYEPIECE_RUN/failed" ]; then
    bad=1
elif [ "$broken" = 1 ]; then
    grep -A 5 '^error' "$EYEPIECE_RUN/cargo.log" || true
fi

echo
echo "$(wc -l <"$EYEPIECE_RUN/passed") passed, $(wc -l <"$EYEPIECE_RUN/failed") failed," \
    "$(wc -l <"$EYEPIECE_RUN/only-skipped") skipped" | tee "$EYEPIECE_RUN/summary"
exit "$bad"
