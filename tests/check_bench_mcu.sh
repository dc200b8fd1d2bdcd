#!/bin/sh
# Instruction counts and sizes on emulated Cortex-M processors against bench/golden/, made with gcc 12.2: a row may be 2 %
# worse, not more. Exit code 77: no or another cross-compiler, or no QEMU (skipped).
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
build=${AGN_BINARY_DIR:?the build folder}
AGN_MCU_PRESETS="fashion-v1 cifar10-paper bench/pay/frame96.ini"
# One processor of each kind: a Cortex-M4 or M33 runs an M7's code, an M3 almost an M0+'s.
AGN_MCU_TARGETS="cortex-m7:mps2-an500 cortex-m55:mps3-an547 cortex-m0plus:microbit"
export AGN_MCU_PRESETS AGN_MCU_TARGETS

need arm-none-eabi-gcc qemu-system-arm
case $(arm-none-eabi-gcc -dumpversion) in
12.2.*) ;;
*)
    echo "skipped: the golden counts are gcc 12.2's, this is $(arm-none-eabi-gcc -dumpversion)"
    exit 77
    ;;
esac

"$root/scripts/bench-mcu.sh" "$build" "$tmp" >"$tmp/out" 2>&1 || {
    tail -n 20 "$tmp/out" >&2
    exit 1
}
# compare FILE FIRST_COLUMN_OF_NUMBERS
compare() {
    awk -F, -v from="$2" '
        NR == FNR { golden[$1 "," $2 "," $3 (from > 4 ? "," $4 : "")] = $0; next }
        FNR > 1 {
            key = $1 "," $2 "," $3 (from > 4 ? "," $4 : "")
            seen++
            if (!(key in golden)) { print "no golden row for " key; bad = 1; next }
            n = split(golden[key], old, ",")
            for (i = from; i <= n; i++)
                if ($i > 1.02 * old[i]) { print key ": " $i " is more than 2 % above " old[i]; bad = 1 }
        }
        END { if (seen == 0) print "no rows"; exit bad || seen == 0 }' "$root/bench/golden/$1" "$tmp/$1" || {
        echo "FAILED: $1; if the change is meant, copy out/bench/$1 (make bench-mcu) to bench/golden/" >&2
        exit 1
    }
}
compare mcu.csv 5
compare mcu_memory.csv 4

# A model of one's own on frames of one's own; the extractor's work is the preset's.
"$build/agilenn" export --preset fashion-v1 --codec raw3 --output "$tmp/own.agn" >/dev/null
head -c 1568 /dev/zero >"$tmp/frames.raw"
"$root/scripts/bench-mcu.sh" --frames "$tmp/frames.raw" --model "$tmp/own.agn" "$build" "$tmp" >"$tmp/out" 2>&1 || {
    tail -n 20 "$tmp/out" >&2
    exit 1
}
extractor() { sed -n "s/^$1,cortex-m7,dsp,extractor,//p" "$2"; }
[ "$(extractor own "$tmp/mcu_models.csv")" = "$(extractor fashion-v1 "$tmp/mcu.csv")" ] || {
    echo "FAILED: the extractor's count differs between preset and model" >&2
    exit 1
}
awk -F, '$2 == "cortex-m7" && $4 == "raw3" && $5 == 3724 && $8 > 5 && $8 < 100 && $8 * $5 - $7 < $5 { n++ } END { exit n != 2 }' \
    "$tmp/mcu_models_codec.csv" || {
    echo "FAILED: mcu_models_codec.csv:" >&2
    cat "$tmp/mcu_models_codec.csv" >&2
    exit 1
}
for wrong in "--model $tmp/own.agn" "--frames $tmp/frames.raw" "--model $tmp/none.agn --frames $tmp/frames.raw" "--what"; do
    code=0
    # shellcheck disable=SC2086 # words on purpose
    "$root/scripts/bench-mcu.sh" $wrong >"$tmp/out" 2>&1 || code=$?
    [ "$code" -eq 2 ] || {
        echo "FAILED: bench-mcu.sh $wrong: exit code $code" >&2
        exit 1
    }
done
"$root/scripts/estimate-times.sh" "$tmp/mcu.csv" | grep -q 'fashion-v1. | total | ' || {
    echo "FAILED: estimate-times.sh" >&2
    exit 1
}
echo "instructions, code, RAM and stack are within 2 % of bench/golden"
