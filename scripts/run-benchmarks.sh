#!/bin/sh
# Runs every benchmark of a build folder, one after another.
# usage: scripts/run-benchmarks.sh BUILD_FOLDER
set -eu

found=0
for program in "${1:?usage: scripts/run-benchmarks.sh BUILD_FOLDER}"/bench/agn_bench_*; do
    [ -x "$program" ] || continue
    found=$((found + 1))
    echo "== ${program##*/agn_bench_}"
    "$program"
done
[ "$found" -gt 0 ] || echo "No benchmark programs in bench/."
