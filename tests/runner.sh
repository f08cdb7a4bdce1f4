#!/usr/bin/env bash
# Runs one test program for tests/run.sh: cargo calls it as the program's `runner`, in the crate's folder.
#
# Appends to files in $EYEPIECE_RUN: `counts` (passed, failed), `failed` (names), `times` (seconds and name of each test).
# The program's output goes to NAME.log, and to the terminal if a test failed.
set -euo pipefail
program=$1
shift
name=$(basename "$program")
name=${CARGO_PKG_NAME:-}/${name%-*}

threads=()
case $name in
# Tests in namespaces share the machine's interfaces, tracepoints and counters: one at a time.
eyepiece-tests/eyepiece_tests) ;;
eyepiece/datapath) [ -z "${EYEPIECE_RUN_CHECK:-}" ] || exit 0 ;;
eyepiece-tests/*)
    [ -z "${EYEPIECE_RUN_CHECK:-}" ] || exit 0
    # tests/run.sh runs these later, three programs at a time.
    if [ -z "${EYEPIECE_RUN_NOW:-}" ]; then
        printf '%s %s\n' "$PWD" "$program" >>"$EYEPIECE_RUN/programs"
        exit 0
    fi
    threads=(--test-threads=1)
    ;;
esac
# A test that hangs would end CI without a message.
limit=()
[ "${CI:-}" != true ] || limit=(timeout --kill-after=10 "${EYEPIECE_TEST_LIMIT:-900}")

log="$EYEPIECE_RUN/${name//\//-}.log"
start=$SECONDS code=0
# Reporting times needs the bootstrap switch.
RUSTC_BOOTSTRAP=1 "${limit[@]}" "$program" -Z unstable-options --report-time --show-output "${threads[@]}" "$@" \
    </dev/null >"$log" 2>&1 || code=$?

# Output of child processes can split the line of a test; the summary and the last list of failures stay whole.
summary=$(grep -E '^test result: (ok|FAILED)\. [0-9]+ passed; ' "$log" | tail -n 1 || true)
sed -nE "s|^test ([^ ]+) \.\.\. (ok\|FAILED) <([0-9.]+)s>$|\3 $name::\1|p" "$log" >>"$EYEPIECE_RUN/times"
if [ -n "$summary" ] && { [ "$code" = 0 ] || [ "$code" = 101 ]; }; then
    sed -E 's/.*\. ([0-9]+) passed; ([0-9]+) failed; .*/\1 \2/' <<<"$summary" >>"$EYEPIECE_RUN/counts"
    # The last list of failures; awk reads all of the log, so that nothing writes into a closed pipe.
    [ "$code" = 0 ] || awk -v name="$name" '/^failures:$/ { list = "" } /^    [^ ]/ { list = list name "::" substr($0, 5) "\n" }
        END { printf "%s", list }' "$log" >>"$EYEPIECE_RUN/failed"
else
    case $code in 124 | 137) why="not finished after ${EYEPIECE_TEST_LIMIT:-900} s" ;; *) why="exit code $code" ;; esac
    echo "0 1" >>"$EYEPIECE_RUN/counts"
    echo "$name: no summary, $why" >>"$EYEPIECE_RUN/failed"
    code=1
fi
[ "$code" = 0 ] || cat "$log"
summary=${summary#test result: }
echo "$name: ${summary%%; [0-9]* measured*} in $((SECONDS - start)) s"
exit "$code"
