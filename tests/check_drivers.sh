#!/bin/sh
# Compiles firmware/drivers/ and the CoAP messages that go with it for a Cortex-M7 and a Cortex-M0+, as strict
# freestanding C99, and checks that nothing but memcpy and memset (and division, on the M0+) is left undefined;
# prints the code size. Exit code 77: no arm-none-eabi-gcc (skipped).
# usage: tests/check_drivers.sh [source folder]
set -eu
root=${1:-$(dirname "$0")/..}
cc=${ARM_CC:-arm-none-eabi-gcc}
if ! command -v "$cc" >/dev/null 2>&1; then
    echo "skipped: $cc is not installed (Debian package gcc-arm-none-eabi)"
    exit 77
fi
work=$(mktemp -d "${AGN_TEST_TMP:-${TMPDIR:-/tmp}}/agn-drivers.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
for core in cortex-m7 cortex-m0plus; do
    rm -f "$work"/*.o
    for source in "$root"/firmware/drivers/*.c "$root"/wire/agn_coap.c; do
        "$cc" -ffreestanding -std=c99 -Os -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -mcpu=$core -mthumb \
            -I"$root/wire" -I"$root/firmware" -I"$root/src" -c "$source" -o "$work/$(basename "$source" .c).o"
    done
    "$cc" -mcpu=$core -mthumb -nostdlib -r -o "$work/all.elf" "$work"/*.o
    undefined=$(arm-none-eabi-nm -u "$work/all.elf" | awk '{ print $2 }' |
        grep -v -e '^memcpy$' -e '^memset$' -e '^__aeabi_u*idiv' -e '^__gnu_thumb1_case' || true)
    if [ -n "$undefined" ]; then
        echo "$core: undefined symbols other than memcpy and memset: $undefined"
        exit 1
    fi
    echo "$core:"
    arm-none-eabi-size "$work"/*.o
done
echo "freestanding, with memcpy and memset only"
