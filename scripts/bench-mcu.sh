#!/bin/sh
# Instructions by stage, code size, RAM and stack of the device library on emulated Cortex-M processors, for each variant of
# the kernels: of presets with random weights (all but the encoder's work does not depend on their values), or of trained
# models on frames of their own.
# usage: [AGN_MCU_PRESETS="..."] [AGN_MCU_TARGETS="PROCESSOR:BOARD ..."] scripts/bench-mcu.sh [build folder] [output folder]
#        scripts/bench-mcu.sh --frames FRAMES.raw --model MODEL.agn [--model ...] [build folder] [output folder]
# FRAMES.raw: pixels of one or more frames that suit each of the models; the counts are means over them. The tables are
# mcu.csv, mcu_memory.csv, mcu_codec.csv; of models mcu_models.csv and so on.
set -eu
LC_ALL=C
export LC_ALL
models=
frames=
usage() {
    echo "bench-mcu.sh: $*; usage: scripts/bench-mcu.sh [--frames FRAMES.raw --model MODEL.agn ...] [build folder] [output folder]" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    --model | --frames)
        [ $# -ge 2 ] || usage "$1 needs a file"
        [ -f "$2" ] || usage "$1 $2: there is no such file"
        file=$(realpath "$2")
        if [ "$1" = --model ]; then models="$models$file
"; else frames=$file; fi
        shift 2
        ;;
    -*) usage "$1: no such option" ;;
    *) break ;;
    esac
done
[ -n "$models" ] && [ -z "$frames" ] && usage "--model needs --frames FRAMES.raw"
[ -z "$models" ] && [ -n "$frames" ] && usage "--frames needs --model MODEL.agn"
cd "$(dirname "$0")/.."
build=${1:-build}
out=${2:-out/bench}
presets=${AGN_MCU_PRESETS:-fashion-v1 cifar10-lean-v1 cifar10-paper cifar10 imagenet200-lean fashion-local fashion-edge-only fashion-edge-only-jpeg
    fashion-local-only fashion-deepcod fashion-spinn cifar10-edge-only cifar10-local cifar10-local-only cifar10-mcunet cifar10-deepcod cifar10-spinn bench/pay/frame96.ini}
targets=${AGN_MCU_TARGETS:-cortex-m7:mps2-an500 cortex-m4:netduinoplus2 cortex-m33:mps2-an505 cortex-m55:mps3-an547 cortex-m3:mps2-an385
    cortex-m0plus:microbit}
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
# json NAME FILE: the first value of that name.
json() { sed -n "s/^ *\"$1\": \"*\([a-z0-9]*\)\"*,*\$/\1/p" "$2" | head -n 1; }
# numbers NAME FILE: the first list of that name, as words.
numbers() { tr -d ' \n' <"$2" | sed -n "s/.*\"$1\":\[\([0-9,]*\)\].*/\1/p" | tr ',' ' '; }
# state TARGET FILE: sizeof(struct agn_dev) on the target.
state() { tr -d ' \n' <"$2" | sed -n "s/.*\"target\":\"$1\",[^}]*\"state_bytes\":\([0-9]*\).*/\1/p"; }

csv=$work/mcu.csv
memory=$work/mcu_memory.csv
codecs=$work/mcu_codec.csv
echo preset,target,variant,stage,instructions >"$csv"
echo preset,target,variant,code_bytes,model_bytes,ram_bytes,stack_bytes >"$memory"
echo preset,target,variant,codec,symbols,bytes,instructions,instructions_a_symbol >"$codecs"

# variants TARGET: the kernels that suit it.
variants() {
    case $1 in
    cortex-m55) echo mve dsp plain ;;
    cortex-m3 | cortex-m0plus) echo plain ;;
    *) echo dsp plain ;;
    esac
}

# run BOARD VARIANT APP MODEL FRAMES: what the program prints, in $work/APP.txt.
run() {
    make -s -C firmware run BOARD="$1" APP="$3" KERNEL="$2" OUT="$work/$1" MODEL="$4" FRAMES="$5" >"$work/log" 2>"$work/$3.txt" || {
        cat "$work/log" "$work/$3.txt" >&2
        exit 1
    }
}

# fits TARGET FILE: whether the model fits the emulated board, of which only the Cortex-M0+'s is small (16 KB, 256 KB).
fits() {
    [ "$1" = cortex-m0plus ] || return 0
    tr -d ' \n' <"$2" | sed -n "s/.*\"target\":\"$1\",[^}]*\"ram_bytes\":\([0-9]*\)[^}]*\"flash_bytes\":\([0-9]*\).*/\1 \2/p" |
        awk '{ exit !($1 <= 15500 && $2 <= 240000) }'
}

# measure NAME MODEL FRAMES: rows for each target and variant. Of a network with branches all layers are in the row extractor.
measure() {
    name=$1
    "$build/agilenn" info "$2" --json >"$work/info.json"
    codec=$(json codec "$work/info.json")
    # shellcheck disable=SC2046 # words on purpose: height, width, channels
    set -- "$2" "$3" $(numbers map "$work/info.json")
    symbols=$(($3 * $4 * ($5 - $(json local_channels "$work/info.json"))))
    stage=lzw
    [ "$codec" = lzw ] || stage=$codec
    for entry in $targets; do
        target=${entry%:*}
        board=${entry#*:}
        fits "$target" "$work/info.json" || {
            echo "bench-mcu.sh: $name does not fit $board ($target)" >&2
            continue
        }
        for variant in $(variants "$target"); do
            run "$board" "$variant" count "$1" "$2"
            run "$board" "$variant" stages "$1" "$2"
            rows=$(field rows "$work/count.txt")
            packets=$(field packets "$work/count.txt")
            local=$(field local "$work/stages.txt")
            packet=$(field packet "$work/stages.txt")
            coding=$((packets - packet))
            for line in extractor,$((rows - local)) local,"$local" quantise,0 "$stage,$coding" packet,"$packet" \
                total_without_"$stage",$((rows + packet)) total,$((rows + packets)); do
                echo "$name,$target,$variant,$line" >>"$csv"
            done
            # The library's own code: what the link takes from wire/ and device/.
            code=$(arm-none-eabi-nm --print-size --size-sort "$work/$board/count-$variant.elf" |
                awk '$3 ~ /[tTrR]/ && $4 !~ /^(app_|board_|mps_|frame_|print_|unexpected|vectors|digits)/ { print $2 }' |
                while read -r hex; do echo $((0x$hex)); done | awk '{ s += $1 } END { print s }')
            ram=$(($(json arena_bytes "$work/info.json") + $(state "$target" "$work/info.json")))
            echo "$name,$target,$variant,$code,$(json device_flash_bytes "$work/info.json"),$ram,$(field stack "$work/count.txt")" >>"$memory"
            [ "$symbols" -eq 0 ] || echo "$name,$target,$variant,$codec,$symbols,$(field bytes "$work/count.txt"),$coding" |
                awk -F, '{ printf "%s,%.1f\n", $0, $7 / $5 }' >>"$codecs"
        done
    done
}

if [ -n "$models" ]; then
    suffix=_models
    while read -r model; do
        [ -z "$model" ] || measure "$(basename "$model" .agn)" "$model" "$frames"
    done <<END
$models
END
else
    suffix=
    for preset in $presets; do
        "$build/agilenn" export --preset "$preset" --output "$work/model.agn" --json >/dev/null
        "$build/agilenn" info "$work/model.agn" --json >"$work/info.json"
        # Presets' tables are LZW's; a preset of a file keeps its codec, as what counts there is the whole frame.
        [ "$(json codec "$work/info.json")" != range ] || [ "$preset" != "${preset%.ini}" ] ||
            "$build/agilenn" export --preset "$preset" --codec lzw --output "$work/model.agn" --json >/dev/null
        "$build/agilenn" info "$work/model.agn" --json >"$work/info.json"
        bytes=$(numbers image "$work/info.json" | awk '{ print $1 * $2 * $3 }')
        # A frame whose pixels differ from row to row and repeat within: neither noise nor nothing, for the encoder's sake.
        awk -v n="$bytes" 'BEGIN { for (i = 0; i < n; i++) printf "%c", 48 + int(i / 97) * 7 % 70 }' >"$work/frame.raw"
        measure "$(basename "$preset" .ini)" "$work/model.agn" "$work/frame.raw"
    done
fi
mv "$csv" "$out/mcu$suffix.csv"
mv "$memory" "$out/mcu${suffix}_memory.csv"
mv "$codecs" "$out/mcu${suffix}_codec.csv"
echo "instructions under QEMU (not cycles), $(arm-none-eabi-gcc -dumpversion), -O2:"
for table in "$out/mcu$suffix.csv" "$out/mcu${suffix}_memory.csv" "$out/mcu${suffix}_codec.csv"; do
    cat "$table"
    echo
done
echo "wrote $out/mcu$suffix.csv, mcu${suffix}_memory.csv, mcu${suffix}_codec.csv"
