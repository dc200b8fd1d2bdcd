#!/bin/sh
# A trained model on emulated Cortex-M7, M4, M33, M55, M3 and M0 gives the packets and logits that it gives on this machine,
# byte for byte, with each variant of the kernels. Exit code 77: no cross-compiler or no QEMU (skipped).
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
need arm-none-eabi-gcc qemu-system-arm
firmware() { make -s -C "$root/firmware" MODEL="$tmp/model.agn" FRAMES="$tmp/frames.raw" "$@"; }

tiny_set "$tmp"
tiny_model tiny
mv "$tmp/tiny.agn" "$tmp/model.agn"
# 40 frames of 12 x 12 bytes behind the header of the idx file
dd if="$tmp/set/t10k-images-idx3-ubyte" of="$tmp/frames.raw" bs=16 skip=1 count=360 2>/dev/null

cc -std=gnu11 -O1 -I"$root/firmware" -I"$root/wire" -I"$root/device" -DAPP_MODEL="\"$tmp/model.agn\"" \
    -DAPP_FRAMES="\"$tmp/frames.raw\"" "$root"/wire/*.c "$root"/device/*.c "$root/firmware/boards/host/board.c" \
    "$root/firmware/apps/frame.c" "$root/firmware/apps/frames.c" "$root/firmware/apps/data.S" -o "$tmp/host" -z noexecstack ||
    die "the host's build"
"$tmp/host" 2>"$tmp/host.txt" || die "the host's run"
[ "$(grep -c '^logits,' "$tmp/host.txt")" -eq 40 ] || die "the host ran $(grep -c '^logits,' "$tmp/host.txt") frames"
grep -q '^packet,' "$tmp/host.txt" || die "the host made no packets"

rows() { sed -n 's/^rows,//p' "$tmp/$1.count"; }

# variants BOARD: kernels that its processor is to run; empty where emulator or compiler do not know it.
variants() {
    qemu-system-arm -M help | grep -q "^$1 " || return 0
    cpu=$(sed -n 's/^CPU *= *//p' "$root/firmware/boards/$1/board.mk")
    # shellcheck disable=SC2086 # a list of words on purpose
    arm-none-eabi-gcc $cpu -E -x c /dev/null >/dev/null 2>&1 || return 0
    case $1 in
    mps3-an547) echo mve dsp plain ;;
    mps2-an385 | microbit) echo plain ;;
    mps2-an500) echo dsp plain ;;
    *) echo dsp ;; # the plain kernels are the Cortex-M7's
    esac
}

ran=
for board in mps2-an500 netduinoplus2 mps2-an505 mps3-an547 mps2-an385 microbit; do
    kernels=$(variants $board)
    [ -n "$kernels" ] || echo "not run: $board, which this compiler or this emulator does not know"
    for kernel in $kernels; do
        result=$tmp/$board-$kernel
        firmware run BOARD=$board APP=frames KERNEL="$kernel" OUT="$tmp/$board" >"$tmp/out" 2>"$result.txt" || {
            tail -n 5 "$tmp/out" "$result.txt" >&2
            die "$board, kernel $kernel"
        }
        cmp "$tmp/host.txt" "$result.txt" || die "$board, kernel $kernel differs from the host"
        # random layers of odd sizes, by the program that compares with the plain kernels
        firmware run BOARD=$board APP=kernels KERNEL="$kernel" OUT="$tmp/$board" >"$tmp/out" 2>"$tmp/kernels.txt" || {
            tail -n 5 "$tmp/out" "$tmp/kernels.txt" >&2
            die "$board, kernel $kernel: random layers"
        }
        [ "$kernel" = plain ] || grep -q "^kernel_is_$kernel,1\$" "$tmp/kernels.txt" || die "$board: not the kernel $kernel"
        # counting is exact: it repeats
        for count in count again; do
            firmware run BOARD=$board APP=count KERNEL="$kernel" OUT="$tmp/$board" 2>"$result.$count" >"$tmp/out" ||
                die "$board, kernel $kernel: count"
        done
        cmp "$result.count" "$result.again" || die "$board: two counts of one program differ"
        stack=$(sed -n 's/^stack,//p' "$result.count")
        [ "$stack" -gt 100 ] && [ "$stack" -le 2048 ] || die "$board: the stack took $stack bytes; at most 2048 are promised"
        ran="$ran $board-$kernel"
        echo "$board, $kernel: the host's bytes; rows of a frame: $(rows "$board-$kernel") instructions"
    done
done
# faster BOARD KERNEL KERNEL: the first of two kernels takes fewer instructions, where both ran.
faster() {
    case "$ran " in
    *" $1-$2 "*) ;;
    *) return 0 ;;
    esac
    [ "$(rows "$1-$2")" -lt "$(rows "$1-$3")" ] || die "$1: $(rows "$1-$2") instructions by $2, $(rows "$1-$3") by $3"
}
faster mps2-an500 dsp plain
faster mps3-an547 mve dsp
[ -n "$ran" ] || die "no board ran"
echo "the same bytes on the host and on$ran"
