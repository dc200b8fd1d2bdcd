#!/bin/sh
# Instructions a frame with -O2 and with -Os, on four processors: the columns of docs/PERFORMANCE.md, "Small code". For each
# line: processor, preset, optimisation, rows without packets, with packets coded by LZW, by the range coder. Counted by QEMU,
# which a busy machine does not disturb; random weights, whose values change the coders' work only.
# usage: scripts/bench-small-code.sh [build folder]
set -eu
LC_ALL=C
export LC_ALL
build=$(realpath "${1:-build}")
cd "$(dirname "$0")/.."
AGILENN_PRESETS=$PWD/presets
export AGILENN_PRESETS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# count TARGET OPTIMISE CODEC: what the program prints, in $work/count.txt. QEMU has no Cortex-M0+: a Cortex-M3 runs its code.
count() {
    cpu=
    case $1 in
    cortex-m0plus) board=mps2-an385 cpu="-mcpu=cortex-m0plus -mthumb" ;;
    cortex-m3) board=mps2-an385 ;;
    cortex-m4) board=netduinoplus2 ;;
    *) board=mps2-an500 ;;
    esac
    make -s -C firmware run APP=count BOARD="$board" ${cpu:+CPU="$cpu"} OPTIMISE="$2" OUT="$work/$1$2" MODEL="$work/$3.agn" \
        FRAMES="$work/frame.raw" >"$work/log" 2>"$work/count.txt" || {
        cat "$work/log" "$work/count.txt" >&2
        exit 1
    }
}
field() { sed -n "s/^$1,\([0-9]*\)\$/\1/p" "$work/count.txt"; }

echo processor,preset,optimisation,rows,with_lzw,with_range
for preset in cifar10-paper cifar10-lean-v1; do
    for codec in lzw range; do
        "$build/agilenn" export --preset "$preset" --codec "$codec" --output "$work/$codec.agn" --json >/dev/null
    done
    "$build/agilenn" info "$work/lzw.agn" --json | tr -d ' \n' >"$work/info.json"
    bytes=$(sed -n 's/.*"image":\[\([0-9]*\),\([0-9]*\),\([0-9]*\)\].*/\1 \2 \3/p' "$work/info.json" | awk '{ print $1 * $2 * $3 }')
    # The frame of scripts/bench-mcu.sh.
    awk -v n="$bytes" 'BEGIN { for (i = 0; i < n; i++) printf "%c", 48 + int(i / 97) * 7 % 70 }' >"$work/frame.raw"
    for target in cortex-m0plus cortex-m3 cortex-m4 cortex-m7; do
        for optimise in -O2 -Os; do
            count "$target" "$optimise" lzw
            rows=$(field rows) lzw=$(field packets)
            count "$target" "$optimise" range
            echo "$target,$preset,$optimise,$rows,$((rows + lzw)),$((rows + $(field packets)))"
        done
    done
done
