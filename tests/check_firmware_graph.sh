#!/bin/sh
# Networks with branches on emulated Cortex-M7, M55 and M0 give the packets and logits that they give on this machine, byte
# for byte, each with the kernels that suit it, at each place where they may be cut. Exit code 77: no cross-compiler or no QEMU (skipped).
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
need arm-none-eabi-gcc qemu-system-arm

# Sums, kernels of 3, 5 and 7 at strides 1 and 2, even and odd numbers of channels, rows of 12, 6 and 3 places.
"$bin" export --preset fashion-v1 --set data.height=24 --set data.width=24 --set "model.extractor=conv:c10:s2 mb:c10:e2 conv:c13:k1" \
    --set model.local_channels=6 --set "model.local=mb:c6:e3:k5 mb:c9:e2:k7:s2 mb:c9:e2:k7 dw:k5:s2 conv:c12:k1 mb:c12:e2:k5 mb:c12:e2" \
    --set model.grid=1 --output "$tmp/model.agn" --ram 16K >"$tmp/out" || die "the export"
head -c 4608 /dev/urandom >"$tmp/frames.raw" # 8 frames
[ "$(od -An -tu1 -j4 -N1 "$tmp/model.agn" | tr -d ' ')" = 4 ] || die "the model is no network with branches"

# host MODEL FRAMES: what this machine makes of them, into $tmp/host.txt.
mkdir "$tmp/objects"
(cd "$tmp/objects" && cc -std=gnu11 -O1 -c -I"$root/firmware" -I"$root/wire" -I"$root/device" "$root"/wire/*.c "$root"/device/*.c \
    "$root/firmware/boards/host/board.c" "$root/firmware/apps/frame.c" "$root/firmware/apps/frames.c") || die "the host's build"
host() {
    cc -DAPP_MODEL="\"$1\"" -DAPP_FRAMES="\"$2\"" "$tmp"/objects/*.o "$root/firmware/apps/data.S" -o "$tmp/host" \
        -z noexecstack || die "the host's build"
    "$tmp/host" 2>"$tmp/host.txt" || die "the host's run"
}

# board BOARD KERNEL MODEL FRAMES: the same on a board, and compared.
board() {
    make -s -C "$root/firmware" run MODEL="$3" FRAMES="$4" BOARD="$1" APP=frames KERNEL="$2" OUT="$tmp/$1" \
        >"$tmp/out" 2>"$tmp/result.txt" || {
        tail -n 5 "$tmp/out" "$tmp/result.txt" >&2
        die "$1, kernel $2, $(basename "$3")"
    }
    cmp "$tmp/host.txt" "$tmp/result.txt" || die "$1, kernel $2, $(basename "$3") differs from the host"
}

host "$tmp/model.agn" "$tmp/frames.raw"
[ "$(grep -c '^logits,' "$tmp/host.txt")" -eq 8 ] || die "the host ran $(grep -c '^logits,' "$tmp/host.txt") frames"
[ "$(grep '^logits,' "$tmp/host.txt" | sort -u | wc -l)" -gt 1 ] || die "all frames have the same logits"

for run in mps2-an500:dsp mps3-an547:mve microbit:plain; do
    board "${run%:*}" "${run#*:}" "$tmp/model.agn" "$tmp/frames.raw"
    ran="${ran:-}${ran:+, }${run%:*} ${run#*:}"
done
echo "alike: $ran"

# Patches of a sensor's size, which the DSP kernels read as bytes.
"$bin" export --preset "$root/bench/pay/frame96.ini" --output "$tmp/patches.agn" >"$tmp/out" || die "the export of patches"
head -c 55296 /dev/urandom >"$tmp/patches.raw" # 2 frames
host "$tmp/patches.agn" "$tmp/patches.raw"
for run in mps2-an500:dsp mps3-an547:mve; do
    board "${run%:*}" "${run#*:}" "$tmp/patches.agn" "$tmp/patches.raw"
done

# Random networks, exits and cuts among them. What the DSP kernels do a test of the host's does as well; Helium is QEMU's alone.
mkdir "$tmp/random"
count=10
"$AGN_BINARY_DIR/tests/test_device_graph" --write "$tmp/random" $count
cuts=0
for i in $(seq 0 $((count - 1))); do
    host "$tmp/random/$i.agn" "$tmp/random/$i.raw"
    board mps3-an547 mve "$tmp/random/$i.agn" "$tmp/random/$i.raw"
    cuts=$((cuts + ($(grep -c '^logits,' "$tmp/host.txt") > 3)))
done
[ "$cuts" -gt 0 ] || die "none of the random networks has a cut"
echo "alike: $count random networks, $cuts with several cuts, on mps3-an547 mve"
