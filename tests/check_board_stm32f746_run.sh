#!/bin/sh
# The images for the board stm32f746g-disco, executed on an emulated Cortex-M7 with played peripherals: they start, also
# with broken clocks, compute what this machine computes, and end without a modem. Exit code 77: no cross-compiler, no
# Python or no unicorn (skipped).
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
need arm-none-eabi-gcc
python=${AGN_PYTHON:-python3}
if ! "$python" -c 'import unicorn' >/dev/null 2>&1; then
    echo "skipped: no Python with unicorn (Debian package python3-unicorn, or AGN_PYTHON=python with it)"
    exit 77
fi

# image APP: builds it and makes APP.bin
image() {
    make -s -C "$root/firmware" BOARD=stm32f746g-disco APP="$1" OUT="$tmp/images" MODEL="$tmp/model.agn" \
        FRAMES="$tmp/frames.raw" || die "the build of $1"
    arm-none-eabi-objcopy -O binary "$tmp/images/$1.elf" "$tmp/$1.bin"
}
play() { "$python" "$root/tests/support/play_stm32f746.py" "$@"; }

run 0 export --preset fashion-v1 --output "$tmp/model.agn"
# 4 frames of 28 x 28 bytes, other ones at each place
awk 'BEGIN { for (i = 0; i < 3136; i++) printf "%c", 1 + (i * i + i % 97) % 127 }' >"$tmp/frames.raw"

cc -std=gnu11 -O1 -I"$root/firmware" -I"$root/wire" -I"$root/device" -DAPP_MODEL="\"$tmp/model.agn\"" \
    -DAPP_FRAMES="\"$tmp/frames.raw\"" "$root"/wire/*.c "$root"/device/*.c "$root/firmware/boards/host/board.c" \
    "$root/firmware/apps/frame.c" "$root/firmware/apps/frames.c" "$root/firmware/apps/data.S" -o "$tmp/host" -z noexecstack ||
    die "the host's build"
"$tmp/host" 2>"$tmp/host.out" || die "the host's run"
[ "$(grep -c '^logits,' "$tmp/host.out")" -eq 4 ] || die "the host did not run 4 frames"

image frames
play "$tmp/frames.bin" >"$tmp/frames.out" || die "frames ended with $?"
grep -v '^#' "$tmp/frames.out" | cmp - "$tmp/host.out" || die "frames: not what the host computes"
grep -q '^# stm32f746g-disco, 216 MHz (crystal)$' "$tmp/frames.out" || die "frames: no greeting"

image count
for broken in crystal pll over-drive; do
    play "$tmp/count.bin" $broken >"$tmp/$broken.out" || die "count with a broken $broken ended with $?"
    grep -q '^frames,4$' "$tmp/$broken.out" || die "count with a broken $broken: not 4 frames"
done
grep -q '216 MHz (internal oscillator: the crystal failed)' "$tmp/crystal.out" || die "no crystal: not said"
grep -q '16 MHz (internal oscillator alone' "$tmp/pll.out" || die "no PLL: not said"
grep -q '16 MHz (internal oscillator alone' "$tmp/over-drive.out" || die "no over-drive: not said"

# Nobody on the line: a prediction for each frame all the same.
image edge
play "$tmp/edge.bin" >"$tmp/edge.out" || die "edge ended with $?"
[ "$(grep -c '^local,' "$tmp/edge.out")" -eq 4 ] || die "edge without a modem: not 4 local predictions"
echo "the images start and compute as on this machine, with any clock broken, and without a modem"
