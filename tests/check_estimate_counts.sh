#!/bin/sh
# The modelled instructions of `agilenn estimate` beside QEMU's counts: a chain and a network with branches, within the error
# that agilenn/cost.h states.
set -eu
# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
AGILENN_PROFILES=$root/profiles
TMPDIR=$tmp
export AGILENN_PROFILES TMPDIR
need make arm-none-eabi-gcc qemu-system-arm

# instructions ARGUMENT...: of a frame's rows
instructions() {
    run 0 estimate "$@" --json
    awk -v a="$(figure extract_instructions)" -v b="$(figure local_instructions)" 'BEGIN { printf "%.0f", a + b }'
}

for preset in cifar10-paper fashion-spinn; do
    modelled=$(instructions --preset "$preset")
    counted=$(instructions --preset "$preset" --firmware "$root/firmware")
    [ "$(value instructions "$tmp/out")" = counted ] || die "$preset: the counts are not said to be counted"
    [ "$modelled" -ne "$counted" ] || die "$preset: modelled and counted are the same number"
    holds "$modelled / $counted > 0.9 && $modelled / $counted < 1.1"
done
