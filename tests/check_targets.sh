#!/bin/sh
# src/deploy/target_sizes.inc against what the compilers say now: sizeof(struct agn_dev) exactly, code and stack within 2 %.
# Exit code 77: no or other cross-compilers than those of the table (skipped).
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"

need arm-none-eabi-gcc riscv64-unknown-elf-gcc
for tool in arm-none-eabi-gcc riscv64-unknown-elf-gcc; do
    case $("$tool" -dumpversion) in
    12.2.*) ;;
    *)
        echo "skipped: the table is gcc 12.2's, $tool is $("$tool" -dumpversion)"
        exit 77
        ;;
    esac
done

# One processor of each kind: all eight take three times as long.
AGN_TARGETS="cortex-m0plus cortex-m7 cortex-m55 riscv32" "$root/scripts/measure-targets.sh" >"$tmp/now"
# compare TABLE NOW: prints what differs.
compare() {
    awk -F '[{}", ]+' '
        !/^\{/ { next }
        NR == FNR { table[$2] = $0; rows++; next }
        {
            seen++
            if (!($2 in table)) { print $2 " is not in the table"; bad = 1; next }
            n = split(table[$2], old, /[{}", ]+/)
            if ($3 != old[3]) { print $2 ": " $3 " kernels, the table has " old[3]; bad = 1 }
            if ($4 != old[4]) { print $2 ": sizeof(struct agn_dev) is " $4 ", the table has " old[4]; bad = 1 }
            for (i = 5; i <= 16; i++)
                if (n < 16 || $i > 1.02 * old[i] || $i < 0.98 * old[i]) {
                    print $2 ": " $i ", the table has " old[i] " (" (i % 2 ? "code" : "stack") ", -O" (i < 11 ? "2" : "s") ", part " int((i - 5) % 6 / 2) ")"
                    bad = 1
                }
        }
        END { if (seen < 4 || rows < 8) { print "rows: " seen ", in the table: " rows; bad = 1 } exit bad }' "$1" "$2"
}
compare "$root/src/deploy/target_sizes.inc" "$tmp/now" || {
    echo "FAILED: if the change is meant, scripts/measure-targets.sh >src/deploy/target_sizes.inc" >&2
    exit 1
}
# A comparison that cannot fail would be none.
sed 's/\(cortex-m7", "dsp", [0-9]*, {{{\)[0-9]*/\19999/' "$tmp/now" >"$tmp/other"
if compare "$tmp/other" "$tmp/now" >/dev/null || compare "$tmp/now" /dev/null >/dev/null; then
    echo "FAILED: the comparison takes anything" >&2
    exit 1
fi
echo "the table of targets holds"
