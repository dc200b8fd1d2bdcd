#!/bin/sh
# The engine with oneDNN 3: builds the tests of nn and xai against the one in AGN_ONEDNN3 (the whole path of a folder
# with include/ and lib/) and runs them. Skipped without it.
set -eu

if [ -z "${AGN_ONEDNN3:-}" ]; then
    echo "skipped: AGN_ONEDNN3 names no folder with oneDNN 3 (CONTRIBUTING.md says how to get one)"
    exit 77
fi

source=${AGN_SOURCE_DIR:?root of the sources}
build=${AGN_TEST_TMP:?a folder for this test}/build

die() {
    echo "FAILED: $*" >&2
    exit 1
}

cmake -S "$source" -B "$build" -DCMAKE_PREFIX_PATH="$AGN_ONEDNN3" >"$build.log" 2>&1 || {
    cat "$build.log" >&2
    die "configuring with $AGN_ONEDNN3"
}
grep -q 'oneDNN 3\.[0-9]*: ' "$build.log" || die "expected oneDNN 3 in $AGN_ONEDNN3, found: $(grep oneDNN "$build.log")"

targets=
for program in "$source"/tests/test_nn_*.c "$source"/tests/test_xai_*.c; do
    targets="$targets $(basename "$program" .c)"
done
# shellcheck disable=SC2086 # a list of words on purpose
cmake --build "$build" -j2 --target $targets >"$build.log" 2>&1 || {
    cat "$build.log" >&2
    die "building with $AGN_ONEDNN3"
}
for target in $targets; do
    ldd "$build/tests/$target" | grep -q 'libdnnl\.so\.3 ' || die "$target does not use oneDNN 3"
done
ctest --test-dir "$build" -R '^test_(nn|xai)_' --output-on-failure --no-tests=error
