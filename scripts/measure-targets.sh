#!/bin/sh
# What the device library takes of each processor, found by cross-compiling it: code and constants of all that a firmware
# calls (with what the compiler's own library adds, without memcpy and memset), sizeof(struct agn_dev), and a bound on
# its stack: the deepest chain of calls by the compiler's call graph, without and with the part that sends JPEG. Prints the table that src/deploy/targets.c includes:
#     scripts/measure-targets.sh >src/deploy/target_sizes.inc
# usage: [AGN_TARGETS="..."] scripts/measure-targets.sh
set -eu
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.."
targets=${AGN_TARGETS:-cortex-m0plus cortex-m3 cortex-m4 cortex-m7 cortex-m33 cortex-m55 riscv32 riscv64}
roots="agn_dev_init agn_dev_frame_begin agn_dev_push_rows agn_dev_local agn_dev_next_packet agn_dev_accept_reply agn_dev_predict"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# compiler TARGET: the compiler and its flags for the processor.
compiler() {
    case $1 in
    cortex-m55) echo "arm-none-eabi-gcc -mthumb -mcpu=$1 -mfloat-abi=hard" ;; # without, gcc leaves Helium out
    cortex-*) echo "arm-none-eabi-gcc -mthumb -mcpu=$1" ;;
    riscv32) echo "riscv64-unknown-elf-gcc -march=rv32imac -mabi=ilp32" ;;
    riscv64) echo "riscv64-unknown-elf-gcc -march=rv64imac -mabi=lp64 -mcmodel=medany" ;;
    *)
        echo "measure-targets.sh: $1: no such target" >&2
        return 1
        ;;
    esac
}

# Deepest chain of calls from the roots among the functions that were linked ($work/linked), from gcc's *.ci files. What an
# indirect call reaches is any function that nobody calls by name; but decoders, which stand in the table of codecs, are
# called by agn_decode alone, which no device links. Recursion has no bound and fails.
deepest_stack() {
    awk -v roots="$roots" '
        function add(node, callee) { callees[node] = callees[node] " " callee }
        FILENAME ~ /linked$/ { linked[$1] = 1; next }
        /^node: / && / bytes \(/ {
            split($0, quoted, "\"")
            n = split(quoted[4], label, "\\\\n")
            split(label[n], words, " ")
            name = label[1]
            sub(/^.*:/, "", quoted[2])
            if (quoted[2] in linked) bytes[quoted[2]] = words[1]
            if (words[3] != "(static)" && words[3] != "(dynamic,bounded)") unbounded[quoted[2]] = 1
        }
        /^edge: / {
            split($0, quoted, "\"")
            sub(/^.*:/, "", quoted[2]); sub(/^.*:/, "", quoted[4])
            add(quoted[2], quoted[4]); called[quoted[4]] = 1
        }
        function depth(node,    list, n, i, most, one, other) {
            # parameters after the first are local to the call
            if (node in known) return known[node]
            if (node in open) { print "recursion through " node > "/dev/stderr"; failed = 1; return 0 }
            if (node in unbounded) { print "unbounded stack in " node > "/dev/stderr"; failed = 1 }
            open[node] = 1
            most = 0
            n = split(callees[node], list, " ")
            for (i = 1; i <= n; i++) {
                if (list[i] == "__indirect_call") {
                    for (other in bytes)
                        if (!(other in called) && !(other in root) && !(other in open) && other !~ /_decode$/) {
                            one = depth(other)
                            if (one > most) most = one
                        }
                } else if (list[i] in bytes) {
                    one = depth(list[i])
                    if (one > most) most = one
                }
            }
            delete open[node]
            return known[node] = most + bytes[node]
        }
        END {
            n = split(roots, list, " ")
            for (i = 1; i <= n; i++) root[list[i]] = 1
            if ("agn_decode" in linked) { print "agn_decode was linked" > "/dev/stderr"; failed = 1 }
            for (i = 1; i <= n; i++) {
                if (!(list[i] in bytes)) { print list[i] " was not linked" > "/dev/stderr"; failed = 1 }
                one = depth(list[i])
                if (one > most) most = one
            }
            print most
            exit failed
        }' "$work/linked" "$work"/*.ci
}

# measure OPTIMISE PART COMPILER...: prints "code bytes, stack bytes", without (none) or with (JPEG, GRAPHS) a part that not
# every model needs.
measure() {
    optimise=$1
    defines="-DAGN_WITH_JPEG=0 -DAGN_WITH_GRAPHS=0 -DAGN_WITH_PROTOCOL_2=0"
    [ "$2" = none ] || defines="$defines -UAGN_WITH_$2 -DAGN_WITH_$2=1"
    shift 2
    rm -f "$work"/*.o "$work"/*.ci
    # shellcheck disable=SC2016,SC2086 # the inner shell's file; a list of words on purpose
    printf '%s\n' wire/*.c device/*.c | xargs -P 2 -I FILE sh -c '
        file=$1 work=$2
        shift 2
        "$@" -c "$file" -o "$work/$(basename "$file" .c).o"' sh FILE "$work" "$@" "$optimise" -std=c99 -ffreestanding -ffunction-sections -fdata-sections \
        -fcallgraph-info=su -Iwire -Idevice $defines
    keep=
    for name in $roots; do
        keep="$keep -Wl,-u,$name"
    done
    # Anything else that the library lacks fails the link: memcpy and memset are all that it may need.
    # shellcheck disable=SC2086 # a list of words on purpose
    "$@" "$optimise" -nostdlib -Wl,--gc-sections -Wl,-e,agn_dev_init -Wl,--defsym=memcpy=0 -Wl,--defsym=memset=0 $keep \
        "$work"/*.o -lgcc -o "$work/linked.elf"
    tool=${1%gcc}
    "${tool}nm" "$work/linked.elf" | awk '$2 ~ /[tT]/ { print $3 }' >"$work/linked"
    code=$("${tool}size" -A "$work/linked.elf" |
        awk '$1 ~ /^\.(text|rodata|srodata|sdata2|data|sdata|ARM\.exidx|ARM\.extab)/ { s += $2 } END { print s }')
    stack=$(deepest_stack)
    echo "$code, $stack"
}

echo "/* Made by scripts/measure-targets.sh with gcc $(arm-none-eabi-gcc -dumpversion) and RISC-V gcc $(riscv64-unknown-elf-gcc -dumpversion): name, kernels, sizeof(struct agn_dev),"
echo " * then with -O2 and with -Os code and stack in bytes: the least, for models that send JPEG, for networks with branches. */"
for target in $targets; do
    cc=$(compiler "$target")
    printf '%s\n' '#include "agn_kernel.h"' '#include "agn_device.h"' 'char agn_state[sizeof(struct agn_dev)];' \
        '#if defined(AGN_KERNEL_MVE) && AGN_KERNEL_MVE' 'char agn_mve;' '#elif AGN_KERNEL_DSP' 'char agn_dsp;' '#endif' >"$work/state.c"
    # shellcheck disable=SC2086 # a list of words on purpose
    $cc -std=c99 -ffreestanding -fno-common -Iwire -Idevice -c "$work/state.c" -o "$work/state.object"
    "${cc%%gcc*}nm" --print-size "$work/state.object" >"$work/state"
    state=$((0x$(awk '$4 == "agn_state" { print $2 }' "$work/state")))
    kernels=plain
    grep -q 'agn_dsp$' "$work/state" && kernels=dsp
    grep -q 'agn_mve$' "$work/state" && kernels=mve
    # Not within the echo, which would hide a failure.
    # shellcheck disable=SC2086
    sizes=
    for optimise in -O2 -Os; do
        row=
        for part in none JPEG GRAPHS; do
            # shellcheck disable=SC2086
            one=$(measure $optimise $part $cc)
            row="$row${row:+, }{$one}"
        done
        sizes="$sizes${sizes:+, }{$row}"
    done
    echo "{\"$target\", \"$kernels\", $state, {$sizes}},"
done
