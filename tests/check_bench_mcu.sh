#!/bin/sh
# Instruction counts and sizes on emulated Cortex-M processors against bench/golden/, made with gcc 12.2: a row may be 2 %
# worse, not more. Exit code 77: no or another cross-compiler, or no QEMU (skipped).
set -eu

build=${AGN_BINARY_DIR:?the build folder}
tmp=${AGN_TEST_TMP:?a folder for this test}
root=${AGN_SOURCE_DIR:?the source folder}
AGILENN_PRESETS=$root/presets
AGN_MCU_PRESETS="fashion cifar10-paper"
export AGILENN_PRESETS AGN_MCU_PRESETS

for tool in arm-none-eabi-gcc qemu-system-arm; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "skipped: $tool is not installed"
        exit 77
    fi
done
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
echo "instructions, code, RAM and stack are within 2 % of bench/golden"
