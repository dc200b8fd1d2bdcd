#!/bin/sh
# Instructions by stage, code size, RAM and stack of the device library on emulated Cortex-M processors, for presets with
# random weights (the work does not depend on their values) and both variants of the kernels.
# usage: [AGN_MCU_PRESETS="..."] scripts/bench-mcu.sh [build folder] [output folder]
set -eu
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.."
build=${1:-build}
out=${2:-out/bench}
presets=${AGN_MCU_PRESETS:-fashion cifar10-lean cifar10-paper cifar10 imagenet200-lean}
targets="cortex-m7:mps2-an500 cortex-m4:netduinoplus2"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$out"

for tool in arm-none-eabi-gcc qemu-system-arm; do
    command -v "$tool" >/dev/null 2>&1 || {
        echo "bench-mcu.sh: $tool is missing (Debian packages gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm)" >&2
        exit 1
    }
done
field() { sed -n "s/^$1,\([0-9]*\)\$/\1/p" "$2"; }
# json NAME FILE
json() { sed -n "s/^ *\"$1\": \([0-9]*\),*\$/\1/p" "$2" | head -n 1; }

csv=$work/mcu.csv
memory=$work/mcu_memory.csv
echo preset,target,variant,stage,instructions >"$csv"
echo preset,target,variant,code_bytes,model_bytes,ram_bytes,stack_bytes >"$memory"
for preset in $presets; do
    "$build/agilenn" export --preset "$preset" --output "$work/model.agn" --json >"$work/export.json"
    "$build/agilenn" info --preset "$preset" --json >"$work/info.json"
    bytes=$(($(tr -d ' \n' <"$work/info.json" | sed 's/.*"image":\[\([0-9]*\),\([0-9]*\),\([0-9]*\)\].*/\1 * \2 * \3/')))
    # A frame whose pixels differ from row to row and repeat within: neither noise nor nothing, for the encoder's sake.
    awk -v n="$bytes" 'BEGIN { for (i = 0; i < n; i++) printf "%c", 48 + int(i / 97) * 7 % 70 }' >"$work/frame.raw"
    for entry in $targets; do
        target=${entry%:*}
        board=${entry#*:}
        for variant in dsp plain; do
            for app in count stages; do
                make -s -C firmware run BOARD="$board" APP=$app KERNEL=$variant OUT="$work/$board" MODEL="$work/model.agn" \
                    FRAMES="$work/frame.raw" >"$work/log" 2>"$work/$app.txt" || {
                    cat "$work/log" "$work/$app.txt" >&2
                    exit 1
                }
            done
            rows=$(field rows "$work/count.txt")
            packets=$(field packets "$work/count.txt")
            local=$(field local "$work/stages.txt")
            packet=$(field packet "$work/stages.txt")
            for line in extractor,$((rows - local)) local,"$local" quantise,0 lzw,$((packets - packet)) packet,"$packet" \
                total_without_lzw,$((rows + packet)) total,$((rows + packets)); do
                echo "$preset,$target,$variant,$line" >>"$csv"
            done
            # The library's own code: what the link takes from wire/ and device/.
            code=$(arm-none-eabi-nm --print-size --size-sort "$work/$board/count-$variant.elf" |
                awk '$3 ~ /[tTrR]/ && $4 !~ /^(app_|board_|frame_|print_|unexpected|vectors|digits)/ { print $2 }' |
                while read -r hex; do echo $((0x$hex)); done | awk '{ s += $1 } END { print s }')
            echo "$preset,$target,$variant,$code,$(json flash_bytes "$work/export.json"),$(json ram_bytes "$work/export.json"),$(field stack "$work/count.txt")" >>"$memory"
        done
    done
done
mv "$csv" "$out/mcu.csv"
mv "$memory" "$out/mcu_memory.csv"
echo "instructions under QEMU (not cycles), $(arm-none-eabi-gcc -dumpversion), -O2:"
cat "$out/mcu.csv"
echo
cat "$out/mcu_memory.csv"
echo "wrote $out/mcu.csv, $out/mcu_memory.csv"
