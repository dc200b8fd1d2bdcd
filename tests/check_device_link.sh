#!/bin/sh
# Compiles wire/ and device/ for a Cortex-M7 and checks that nothing but memcpy and memset is
# left undefined; prints the code size. Exit code 77: no arm-none-eabi-gcc (skipped).
# usage: tests/check_device_link.sh [source folder]
set -eu
root=${1:-$(dirname "$0")/..}
cc=${ARM_CC:-arm-none-eabi-gcc}
if ! command -v "$cc" >/dev/null 2>&1; then
    echo "skipped: $cc is not installed (Debian package gcc-arm-none-eabi)"
    exit 77
fi
work=$(mktemp -d "${AGN_TEST_TMP:-${TMPDIR:-/tmp}}/agn-link.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
for source in "$root"/wire/*.c "$root"/device/*.c; do
    "$cc" -ffreestanding -std=c99 -O2 -Wall -Wextra -Wconversion -Wshadow -Werror \
        -mcpu=cortex-m7 -mthumb -mfpu=fpv5-sp-d16 -mfloat-abi=hard -ffunction-sections -fstack-usage \
        -I"$root/wire" -I"$root/device" -c "$source" -o "$work/$(basename "$source" .c).o"
done
"$cc" -mcpu=cortex-m7 -mthumb -nostdlib -r -o "$work/agilenn.o" "$work"/*.o
# Once more without the decoder, which a device does not use: what a firmware really links.
"$cc" -mcpu=cortex-m7 -mthumb -nostdlib -Wl,--gc-sections -Wl,--entry=agn_dev_init \
    -Wl,-u,agn_dev_frame_begin -Wl,-u,agn_dev_push_rows -Wl,-u,agn_dev_local -Wl,-u,agn_dev_next_packet \
    -Wl,-u,agn_dev_accept_reply -Wl,-u,agn_dev_predict -Wl,--unresolved-symbols=ignore-all \
    -o "$work/device.elf" "$work"/agn_*.o
undefined=$(arm-none-eabi-nm -u "$work/agilenn.o" | awk '{ print $2 }' | grep -v -x -e memcpy -e memset || true)
arm-none-eabi-size "$work"/agn_*.o "$work/device.elf"
echo "deepest stack frames of single functions (bytes):"
sort -t "$(printf '\t')" -k 2 -n -r "$work"/*.su | head -n 4 | awk -F '\t' '{ sub(/.*:/, "", $1); print "  " $1, $2 }'
if [ -n "$undefined" ]; then
    echo "undefined symbols other than memcpy and memset:" $undefined
    exit 1
fi
echo "links with memcpy and memset only"
