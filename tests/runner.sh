#!/usr/bin/env bash
# Runs one test program for tests/run.sh: cargo calls it instead of the program (its `runner`), in the crate's folder.
#
# Appends to $EYEPIECE_RUN/results a line per test (`passed NAME`, `failed NAME`, `ignored NAME`), and to $EYEPIECE_RUN/names
# every test that the program has. Names are `program::test`, the library's and the command's told apart by "(main)".
# The test's output goes to a file, and to the terminal where something failed.
set -euo pipefail
program=$1
shift
name=$(basename "$program")
name=${name%-*}${EYEPIECE_RUN_KIND:-}

"$program" --list --format terse "$@" 2>/dev/null | sed -n "s/: test$//p" | sort >"$EYEPIECE_RUN/has"
sed "s/^/$name::/" "$EYEPIECE_RUN/has" >>"$EYEPIECE_RUN/names"
[ -z "${EYEPIECE_RUN_LIST:-}" ] || exit 0
[ -s "$EYEPIECE_RUN/has" ] || exit 0
"$program" --list --ignored --format terse "$@" 2>/dev/null | sed -n "s/: test$//p" | sort >"$EYEPIECE_RUN/ignored"

# Tests in namespaces share the machine's interfaces, tracepoints and counters: one at a time. The others don't.
case "${CARGO_PKG_NAME:-}/$name" in
eyepiece-tests/tidy) threads=() ;;
eyepiece-tests/*) threads=(--test-threads=1) ;;
*) threads=() ;;
esac
# A test that hangs would end CI without a word.
limit=()
[ "${CI:-}" != true ] || limit=(timeout --kill-after=10 "${EYEPIECE_TEST_LIMIT:-1200}")

log="$EYEPIECE_RUN/$name.log"
start=$SECONDS
code=0
"${limit[@]}" "$program" --show-output "${threads[@]}" "$@" </dev/null >"$log" 2>&1 || code=$?
took=$((SECONDS - start))

# Lines of single tests can be torn by what child processes print; the summary and the last list of failures are not.
summary=$(grep -E '^test result: (ok|FAILED)\. [0-9]+ passed; [0-9]+ failed; ' "$log" | tail -n 1 || true)
if [ "$code" = 0 ] && [ -n "$summary" ]; then
    : >"$EYEPIECE_RUN/failures"
elif [ "$code" = 101 ] && [ -n "$summary" ]; then
    tac "$log" | sed -n '/^failures:$/q; s/^    \(.*[^ ]\)$/\1/p' | sort >"$EYEPIECE_RUN/failures"
else
    # Killed, aborted or out of time: what ran is unknown, so none of it counts.
    case $code in 124 | 137) why="no end after ${EYEPIECE_TEST_LIMIT:-1200} s" ;; *) why="exit code $code" ;; esac
    cat "$log"
    echo "test program $name ended before its summary: $why"
    comm -23 "$EYEPIECE_RUN/has" "$EYEPIECE_RUN/ignored" | sed "s/^/failed $name::/" >>"$EYEPIECE_RUN/results"
    exit 1
fi
{
    comm -12 "$EYEPIECE_RUN/has" "$EYEPIECE_RUN/failures" | sed "s/^/failed $name::/"
    comm -23 "$EYEPIECE_RUN/has" "$EYEPIECE_RUN/failures" | comm -23 - "$EYEPIECE_RUN/ignored" | sed "s/^/passed $name::/"
    sed "s/^/ignored $name::/" "$EYEPIECE_RUN/ignored"
} >>"$EYEPIECE_RUN/results"
[ "$code" = 0 ] || cat "$log"
summary=${summary#test result: }
echo "$name: ${summary%%; [0-9]* measured*} in $took s"
exit "$code"
