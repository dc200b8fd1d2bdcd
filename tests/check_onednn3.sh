#!/bin/sh
# The engine with oneDNN 3: builds the tests of nn and xai against the one in AGN_ONEDNN3 (the whole path of a folder
# with include/ and lib/) and runs them. Skipped without it.
set -eu

if [ -z "${AGN_ONEDNN3:-}" ]; then
    echo "skipped: AGN_ONEDNN3 names no folder with oneDNN 3 (CONTRIBUTING.md says how to get one)"
    exit 77
fi

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
build=$tmp/build

cmake -S "$root" -B "$build" -DCMAKE_PREFIX_PATH="$AGN_ONEDNN3" >"$build.out" 2>&1 || die "configuring with $AGN_ONEDNN3"
grep -q 'oneDNN 3\.[0-9]*: ' "$build.out" || die "expected oneDNN 3 in $AGN_ONEDNN3, found: $(grep oneDNN "$build.out")"

targets=
for program in "$root"/tests/test_nn_*.c "$root"/tests/test_xai_*.c; do
    targets="$targets $(basename "$program" .c)"
done
# shellcheck disable=SC2086 # a list of words on purpose
cmake --build "$build" -j2 --target $targets >"$build.out" 2>&1 || die "building with $AGN_ONEDNN3"
for target in $targets; do
    ldd "$build/tests/$target" | grep -q 'libdnnl\.so\.3 ' || die "$target does not use oneDNN 3"
done
ctest --test-dir "$build" -R '^test_(nn|xai)_' --output-on-failure --no-tests=error
