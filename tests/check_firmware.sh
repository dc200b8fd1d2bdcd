#!/bin/sh
# A trained model on an emulated Cortex-M7 gives the packets and logits that it gives on this machine, byte for
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
firmware() { make -s -C "$root/firmware" OUT="$tmp/firmware" MODEL="$tmp/model.agn" FRAMES="$tmp/frames.raw" "$@"; }

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

for kernel in dsp plain; do
    firmware run APP=frames KERNEL=$kernel >"$tmp/out" 2>"$tmp/$kernel.txt" || {
        tail -n 5 "$tmp/out" "$tmp/$kernel.txt" >&2
        die "kernel $kernel under QEMU"
    }
    cmp "$tmp/host.txt" "$tmp/$kernel.txt" || die "kernel $kernel differs from the host"
done

# counting is exact: it repeats, and the DSP kernels need fewer instructions
for kernel in dsp plain; do
    firmware run APP=count KERNEL=$kernel 2>"$tmp/$kernel.count" >"$tmp/out" || die "count, kernel $kernel"
    firmware run APP=count KERNEL=$kernel 2>"$tmp/again.count" >"$tmp/out" || die "count again, kernel $kernel"
    cmp "$tmp/$kernel.count" "$tmp/again.count" || die "two counts of one program differ"
done
rows() { sed -n 's/^rows,//p' "$tmp/$1.count"; }
[ "$(rows dsp)" -lt "$(rows plain)" ] || die "DSP kernels: $(rows dsp) instructions, plain ones: $(rows plain)"
stack=$(sed -n 's/^stack,//p' "$tmp/dsp.count")
[ "$stack" -gt 100 ] && [ "$stack" -le 2048 ] || die "the stack took $stack bytes; at most 2048 are promised"
echo "the same bytes on host and Cortex-M7; rows of a frame: $(rows dsp) instructions (dsp), $(rows plain) (plain)"
