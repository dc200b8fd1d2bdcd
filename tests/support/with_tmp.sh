#!/bin/sh
# Runs a test with a private folder in AGN_TEST_TMP, and deletes the folder whatever happens. A test that still runs
# after AGN_TEST_SECONDS (110) is ended; what it left running is ended in any case.
# usage: with_tmp.sh PROGRAM [ARGUMENT...]; the exit code is the program's, 124 or 137 if it was ended.
mkdir -p "${TMPDIR:-/tmp}" || exit 1
AGN_TEST_TMP=$(mktemp -d "${TMPDIR:-/tmp}/agn-test.XXXXXX") || exit 1
export AGN_TEST_TMP
limit=${AGN_TEST_SECONDS:-110}

# Whoever has this folder in its environment was started by this test.
# shellcheck disable=SC2317
leftovers() (
    mark=AGN_TEST_TMP=$AGN_TEST_TMP
    unset AGN_TEST_TMP
    grep -slzxF "$mark" /proc/[0-9]*/environ | cut -d / -f 3
)
# shellcheck disable=SC2317
clean_up() {
    for pid in $(leftovers); do
        echo "with_tmp.sh: still running: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")" >&2
        kill -9 "$pid" 2>/dev/null
    done
    rm -rf "$AGN_TEST_TMP"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
code=0
timeout --foreground -k 10 "$limit" "$@" || code=$?
[ "$code" -ne 124 ] && [ "$code" -ne 137 ] || echo "with_tmp.sh: $1 did not end within $limit s" >&2
exit "$code"
