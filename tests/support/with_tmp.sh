#!/bin/sh
# Runs a test with a private folder in AGN_TEST_TMP, and deletes the folder whatever happens.
# usage: with_tmp.sh PROGRAM [ARGUMENT...]; the exit code is the program's.
mkdir -p "${TMPDIR:-/tmp}" || exit 1
AGN_TEST_TMP=$(mktemp -d "${TMPDIR:-/tmp}/agn-test.XXXXXX") || exit 1
export AGN_TEST_TMP
trap 'rm -rf "$AGN_TEST_TMP"' EXIT
trap 'exit 130' INT TERM
"$@"
