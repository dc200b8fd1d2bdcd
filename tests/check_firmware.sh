#!/bin/sh
# A trained model on emulated Cortex-M7 and M4 gives the packets and logits that it gives on this machine, byte for
# byte, with each variant of the kernels. Exit code 77: no cross-compiler or no QEMU (skipped).
set -eu

bin=${AGN_BIN:?path of agilenn}
tmp=${AGN_TEST_TMP:?a folder for this test}
root=${AGN_SOURCE_DIR:?the source folder}
LC_ALL=C
AGILENN_PRESETS=$tmp/presets
export LC_ALL AGILENN_PRESETS

for tool in arm-none-eabi-gcc qemu-system-arm; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "skipped: $tool is not installed (Debian packages gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm)"
        exit 77
    fi
done

die() {
    echo "FAILED: $*" >&2
    exit 1
}
firmware() { make -s -C "$root/firmware" MODEL="$tmp/model.agn" FRAMES="$tmp/frames.raw" "$@"; }

# shellcheck source=tests/support/tiny_set.sh
. "$root/tests/support/tiny_set.sh"
tiny_set "$tmp"
"$bin" train --preset tiny --threads 1 --no-plots --out "$tmp/tiny" >/dev/null 2>&1 || die "train"
"$bin" export "$tmp/tiny/model.safetensors" --output "$tmp/model.agn" >/dev/null || die "export"
# 40 frames of 12 x 12 bytes behind the header of the idx file
dd if="$tmp/set/t10k-images-idx3-ubyte" of="$tmp/frames.raw" bs=16 skip=1 count=360 2>/dev/null

cc -std=gnu11 -O1 -I"$root/firmware" -I"$root/wire" -I"$root/device" -DAPP_MODEL="\"$tmp/model.agn\"" \
    -DAPP_FRAMES="\"$tmp/frames.raw\"" "$root"/wire/*.c "$root"/device/*.c "$root/firmware/boards/host/board.c" \
    "$root/firmware/apps/frame.c" "$root/firmware/apps/frames.c" "$root/firmware/apps/data.S" -o "$tmp/host" -z noexecstack ||
    die "the host's build"
"$tmp/host" 2>"$tmp/host.txt" || die "the host's run"
[ "$(grep -c '^logits,' "$tmp/host.txt")" -eq 40 ] || die "the host ran $(grep -c '^logits,' "$tmp/host.txt") frames"
grep -q '^packet,' "$tmp/host.txt" || die "the host made no packets"

for board in mps2-an500 netduinoplus2; do
    for kernel in dsp plain; do
        result=$tmp/$board-$kernel
        firmware run BOARD=$board APP=frames KERNEL=$kernel OUT="$tmp/$board" >"$tmp/out" 2>"$result.txt" || {
            tail -n 5 "$tmp/out" "$result.txt" >&2
            die "$board, kernel $kernel"
        }
        cmp "$tmp/host.txt" "$result.txt" || die "$board, kernel $kernel differs from the host"
        # counting is exact: it repeats
        for count in count again; do
            firmware run BOARD=$board APP=count KERNEL=$kernel OUT="$tmp/$board" 2>"$result.$count" >"$tmp/out" ||
                die "$board, kernel $kernel: count"
        done
        cmp "$result.count" "$result.again" || die "$board: two counts of one program differ"
        stack=$(sed -n 's/^stack,//p' "$result.count")
        [ "$stack" -gt 100 ] && [ "$stack" -le 2048 ] || die "$board: the stack took $stack bytes; at most 2048 are promised"
    done
done
rows() { sed -n 's/^rows,//p' "$tmp/mps2-an500-$1.count"; }
[ "$(rows dsp)" -lt "$(rows plain)" ] || die "DSP kernels: $(rows dsp) instructions, plain ones: $(rows plain)"
echo "the same bytes on the host, a Cortex-M7 and a Cortex-M4; rows of a frame: $(rows dsp) instructions (dsp), $(rows plain) (plain)"
