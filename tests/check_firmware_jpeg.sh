#!/bin/sh
# The JPEG encoder on emulated Cortex-M7, M4, M33, M55, M3 and M0 gives the bytes that it gives on this machine; on a Cortex-M7 it
# takes at most 150,000 instructions for 32x32 pixels of colour at quality 50, and 8 KB of code and tables.
# Exit code 77: no cross-compiler or no QEMU (skipped).
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
need arm-none-eabi-gcc qemu-system-arm
printf '1234' >"$tmp/any"
firmware() { make -s -C "$root/firmware" APP=jpeg MODEL="$tmp/any" FRAMES="$tmp/any" "$@"; }

cc -std=gnu11 -O1 -I"$root/firmware" -I"$root/wire" -I"$root/device" -DAPP_MODEL="\"$tmp/any\"" -DAPP_FRAMES="\"$tmp/any\"" \
    "$root"/wire/*.c "$root"/device/*.c "$root/firmware/boards/host/board.c" "$root/firmware/apps/frame.c" \
    "$root/firmware/apps/jpeg.c" "$root/firmware/apps/data.S" -o "$tmp/host" -z noexecstack || die "the host's build"
"$tmp/host" 2>"$tmp/host.txt" || die "the host's run"
# bytes FILE: what does not depend on the machine.
bytes() { grep -E '^(picture|bytes|crc),' "$1"; }
bytes "$tmp/host.txt" >"$tmp/want"
[ "$(grep -c '^crc,' "$tmp/want")" -eq 5 ] || die "the host coded $(grep -c '^crc,' "$tmp/want") pictures"

ran=
for board in mps2-an500 netduinoplus2 mps2-an505 mps3-an547 mps2-an385 microbit; do
    qemu-system-arm -M help | grep -q "^$board " || continue
    firmware run BOARD=$board OUT="$tmp/$board" >"$tmp/out" 2>"$tmp/$board.txt" || {
        tail -n 5 "$tmp/out" "$tmp/$board.txt" >&2
        die "$board"
    }
    bytes "$tmp/$board.txt" | cmp - "$tmp/want" || die "$board: other bytes than the host's"
    ran="$ran $board"
    echo "$board: the host's bytes; $(sed -n 's/^total,//p' "$tmp/$board.txt" | tr '\n' ' ')instructions a picture"
done
[ -n "$ran" ] || die "no board ran"

m7=$tmp/mps2-an500
[ -f "$m7.txt" ] || exit 0
[ "$(sed -n 's/^total,//p' "$m7.txt" | head -n 1)" -le 150000 ] || die "32x32 at quality 50: $(grep -m1 '^total,' "$m7.txt") instructions"
[ "$(sed -n 's/^stack,//p' "$m7.txt")" -le 1024 ] || die "$(grep '^stack,' "$m7.txt")"
code=$(arm-none-eabi-nm --print-size "$m7/jpeg.elf" |
    awk '$3 ~ /[tTrR]/ && $4 ~ /jpeg|^(base_steps|scan_place|dc_codes|ac_codes|put_word|mcus_along|convert|take_row|code_|begin_|fill_)/ { print $2 }' |
    while read -r hex; do echo $((0x$hex)); done | awk '{ s += $1 } END { print s + 0 }')
[ "$code" -gt 4000 ] && [ "$code" -le 8192 ] || die "$code bytes of code and tables"
# by parts, wrapped: the same bytes
firmware run BOARD=mps2-an500 DEFINES=-DAPP_JPEG_STAGES OUT="$tmp/stages" >"$tmp/out" 2>"$tmp/stages.txt" || die "the stages"
bytes "$tmp/stages.txt" | cmp - "$tmp/want" || die "the stages: other bytes"
[ "$(sed -n 's/^dct,//p' "$tmp/stages.txt" | head -n 1)" -gt 1000 ] || die "the stages are not counted"
echo "$code bytes of code and tables on a Cortex-M7"
