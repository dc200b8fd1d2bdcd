#!/bin/sh
# A network with branches on emulated Cortex-M7, M55 and M0 gives the packets and logits that it gives on this machine, byte
# for byte, each with the kernels that suit it. Exit code 77: no cross-compiler or no QEMU (skipped).
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
need arm-none-eabi-gcc qemu-system-arm

# Sums, kernels of 3, 5 and 7 at strides 1 and 2, even and odd numbers of channels, rows of 12, 6 and 3 places.
"$bin" export --preset fashion --set data.height=24 --set data.width=24 --set "model.extractor=conv:c10:s2 mb:c10:e2 conv:c13:k1" \
    --set model.local_channels=6 --set "model.local=mb:c6:e3:k5 mb:c9:e2:k7:s2 mb:c9:e2:k7 dw:k5:s2 conv:c12:k1 mb:c12:e2:k5 mb:c12:e2" \
    --set model.grid=1 --output "$tmp/model.agn" --ram 16K >"$tmp/out" || die "the export"
head -c 4608 /dev/urandom >"$tmp/frames.raw" # 8 frames
[ "$(od -An -tu1 -j4 -N1 "$tmp/model.agn" | tr -d ' ')" = 4 ] || die "the model is no network with branches"

cc -std=gnu11 -O1 -I"$root/firmware" -I"$root/wire" -I"$root/device" -DAPP_MODEL="\"$tmp/model.agn\"" \
    -DAPP_FRAMES="\"$tmp/frames.raw\"" "$root"/wire/*.c "$root"/device/*.c "$root/firmware/boards/host/board.c" \
    "$root/firmware/apps/frame.c" "$root/firmware/apps/frames.c" "$root/firmware/apps/data.S" -o "$tmp/host" -z noexecstack ||
    die "the host's build"
"$tmp/host" 2>"$tmp/host.txt" || die "the host's run"
[ "$(grep -c '^logits,' "$tmp/host.txt")" -eq 8 ] || die "the host ran $(grep -c '^logits,' "$tmp/host.txt") frames"
[ "$(grep '^logits,' "$tmp/host.txt" | sort -u | wc -l)" -gt 1 ] || die "all frames have the same logits"

for run in mps2-an500:dsp mps3-an547:mve microbit:plain; do
    board=${run%:*} kernel=${run#*:}
    make -s -C "$root/firmware" run MODEL="$tmp/model.agn" FRAMES="$tmp/frames.raw" BOARD="$board" APP=frames KERNEL="$kernel" \
        OUT="$tmp/$board" >"$tmp/out" 2>"$tmp/result.txt" || {
        tail -n 5 "$tmp/out" "$tmp/result.txt" >&2
        die "$board, kernel $kernel"
    }
    cmp "$tmp/host.txt" "$tmp/result.txt" || die "$board, kernel $kernel differs from the host"
    ran="${ran:-}${ran:+, }$board $kernel"
done
echo "alike: $ran"
