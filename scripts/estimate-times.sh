#!/bin/sh
# From instructions, which are measured, to milliseconds, which are estimated: docs/PERFORMANCE.md's table, from a table of
# scripts/bench-mcu.sh, for the Cortex-M7 with its DSP kernels.
# usage: scripts/estimate-times.sh [mcu.csv] [MHz]
set -eu
LC_ALL=C
export LC_ALL
csv=${1:-$(dirname "$0")/../bench/golden/mcu.csv}
mhz=${2:-216}
[ -r "$csv" ] || {
    echo "estimate-times.sh: cannot read $csv; make bench-mcu writes out/bench/mcu.csv" >&2
    exit 1
}
awk -F, -v mhz="$mhz" '
    function thousands(n,    text) {
        text = sprintf("%d", n)
        while (text ~ /[0-9][0-9][0-9][0-9]/) sub(/[0-9][0-9][0-9](,|$)/, ",&", text)
        return text
    }
    BEGIN {
        print "| preset | stage | instructions (measured, QEMU) | ms at " mhz " MHz (estimated, 0.8-1.0 cycles an instruction) |"
        print "|---|---|---|---|"
    }
    NR == 1 {
        if ($0 != "preset,target,variant,stage,instructions") { print "not a table of bench-mcu.sh" > "/dev/stderr"; exit 1 }
        next
    }
    $2 == "cortex-m7" && $3 == "dsp" && $5 > 0 {
        digits = $5 / mhz < 100 ? 3 : 2
        printf "| `%s` | %s | %s | %.*f to %.*f |\n", $1, $4, thousands($5), digits, 0.8 * $5 / mhz / 1000, digits, $5 / mhz / 1000
        rows++
    }
    END { if (!rows) exit 1 }' "$csv"
