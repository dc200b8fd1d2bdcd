#!/bin/sh
# Is the device library the same to the bit with every compiler, flag and processor that is at hand?
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/check-device-compilers.sh [--quick] [--build DIR] [PART...]

Exports models with random weights with DIR/agilenn (--build; default: build), one for each codec and one that sends JPEG, compiles them and the runtime
in many ways, runs each program and compares logits, packets, the link's datagrams, what it makes of answers, and fused answers
with those of "cc -O2". The parts (all, if none is
named):

  host           gcc and clang, -O0 to -O3, -Os, -flto, -fshort-enums, -funsigned-char, -m32; all kernels
  cpp            every public header with g++ and clang++; a program that calls runtime and drivers
  arm            Thumb-2 (kernels for DSP), A32 and big-endian code under qemu-user; all kinds of processors compiled
  s390x          big-endian, 64 bits, under qemu-user
  avr            an int of 16 bits, under simavr (four frames a codec)

and looks that kernels which cannot be right are refused. --quick: a few of each that take some seconds together, without AVR.
What is not installed is skipped with a line; Debian: libc6-dev-i386 lib32gcc-12-dev clang g++ gcc-arm-none-eabi
libnewlib-arm-none-eabi qemu-user-static gcc-s390x-linux-gnu libc6-dev-s390x-cross gcc-avr avr-libc simavr, without the recommended
gcc-multilib, which excludes the compiler for s390x. Exit code 1 where anything differs.
END
}

quick=
build=build
parts=
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    -h | --help) usage && exit 0 ;;
    --build) build=${2:?--build needs a folder} && shift ;;
    -*) echo "check-device-compilers.sh: unknown option $1; check-device-compilers.sh --help lists them" >&2 && exit 2 ;;
    host | cpp | arm | s390x | avr) parts="$parts $1" ;;
    *) echo "check-device-compilers.sh: there is no part '$1'; check-device-compilers.sh --help lists them" >&2 && exit 2 ;;
    esac
    shift
done
build=$(realpath "$build")
cd "$(dirname "$0")/.."
root=$PWD
AGILENN_PRESETS=$root/presets
export AGILENN_PRESETS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

failed=0
bad() {
    echo "FAILED: $*"
    failed=1
}
# asked PART: whether it is to be done.
asked() { case "${parts:-host cpp arm s390x avr} " in *"$1 "*) ;; *) return 1 ;; esac; }
has() { command -v "$1" >/dev/null 2>&1; }
# there WHAT COMPILER FLAGS...: whether the compiler makes programs with these flags; a line if not.
there() {
    what=$1
    shift
    echo 'int main(void) { return 0; }' >"$work/there.c"
    has "$1" && "$@" "$work/there.c" -o "$work/there" >/dev/null 2>&1 && return 0
    echo "skipped: $what ($1 is not there, or lacks what it needs)"
    return 1
}

# ---- models -----------------------------------------------------------------------

# CODEC=EXTRACTOR; the last has depthwise and 1x1 convolutions. An AVR holds model, arena and stack in 16 KB of RAM.
models="range=conv:c16:s2,conv:c24 lzw=conv:c16:s2,conv:c24 raw3=separable:s2"
[ -z "$quick" ] || models="range=conv:c16:s2,conv:c24 raw3=separable:s2"
for model in $models; do
    codec=${model%%=*}
    "$build/agilenn" export --preset fashion-v1 --set "model.extractor=$(echo "${model#*=}" | tr , ' ')" --codec "$codec" --c-source "$work/$codec" --output "$work/model.agn" \
        --json --ram 1M --flash 1M >/dev/null
done
"$build/agilenn" export --preset fashion-edge-only-jpeg --c-source "$work/image" --output "$work/model.agn" --json --ram 1M --flash 1M \
    >/dev/null
codecs="$(for model in $models; do echo "${model%%=*}"; done) image"
# All parts of the runtime are there where a model sends JPEG; the others leave that out.
runtime=$work/image/runtime
smaller_runtime=$work/range/runtime

# program OUT MODEL COMPILER FLAGS...: the probe with the objects of the runtime in $work/objects.
compile_runtime() {
    rm -rf "$work/objects"
    mkdir "$work/objects"
    (cd "$work/objects" && "$@" -std=gnu99 -w -I"$runtime" -c "$runtime"/*.c) 2>"$work/log"
}
program() {
    out=$1 model=$work/$2
    shift 2
    "$@" -std=gnu99 -w -I"$model" -I"$model/runtime" "$root/tests/support/compilers/probe.c" "$model/agn_model_data.c" \
        "$work"/objects/*.o -o "$out" 2>"$work/log"
}
# jpeg_program OUT COMPILER FLAGS...: the JPEG encoder's, without the rest of the runtime.
jpeg_program() {
    out=$1
    shift
    "$@" -std=gnu99 -w -I"$runtime" "$root/tests/support/compilers/probe_jpeg.c" "$work"/objects/agn_jpeg*.o -o "$out" 2>"$work/log"
}
# same NAME RUN COMPILER FLAGS...: compiles for all codecs and JPEG, runs by the words of RUN, compares.
same() {
    name=$1 run=$2
    shift 2
    compile_runtime "$@" || { bad "$name: does not compile: $(grep -m1 error "$work/log")" && return 0; }
    for codec in $codecs; do
        program "$work/probe" "$codec" "$@" || { bad "$name, $codec: does not link: $(tail -n1 "$work/log")" && return 0; }
        # shellcheck disable=SC2086 # a list of words on purpose
        $run "$work/probe" >"$work/got" 2>"$work/log" || { bad "$name, $codec: does not run" && return 0; }
        cmp -s "$work/got" "$work/want-$codec" || bad "$name: another result with $codec"
    done
    jpeg_program "$work/probe" "$@" || { bad "$name, JPEG: does not link: $(tail -n1 "$work/log")" && return 0; }
    # shellcheck disable=SC2086 # a list of words on purpose
    $run "$work/probe" >"$work/got" 2>"$work/log" || { bad "$name, JPEG: does not run" && return 0; }
    cmp -s "$work/got" "$work/want-jpeg" || bad "$name: another result with JPEG"
    echo "compared: $name"
}
compiles() {
    name=$1
    shift
    if compile_runtime "$@"; then echo "compiled: $name"; else bad "$name: $(grep -m1 error "$work/log")"; fi
}
# refused NAME COMPILER FLAGS...: an error of agn_kernel.h's.
refused() {
    name=$1
    shift
    if "$@" -I"$runtime" -c "$runtime/agn_kernel_plain.c" -o "$work/refused.o" 2>"$work/log"; then
        bad "$name: is not refused"
    elif grep -q 'error: #\{0,1\}\(error \)\{0,1\}"\{0,1\}AGN_KERNEL' "$work/log"; then
        echo "refused:  $name"
    else
        bad "$name: not refused by a sentence, but $(grep -m1 error "$work/log")"
    fi
}

compile_runtime cc -O2 || { cat "$work/log" && exit 1; }
for codec in $codecs; do
    program "$work/probe" "$codec" cc -O2
    "$work/probe" >"$work/want-$codec"
    [ "$(sort -u "$work/want-$codec" | wc -l)" -eq 13 ] || bad "frames do not differ with $codec"
done

jpeg_program "$work/probe" cc -O2
"$work/probe" >"$work/want-jpeg"
[ "$(sort -u "$work/want-jpeg" | wc -l)" -eq 10 ] || bad "pictures do not differ as JPEG"

# ---- this machine -------------------------------------------------------------------

plain="-DAGN_KERNEL_DSP=0 -DAGN_KERNEL_SSE2=0"
if [ -n "$quick" ]; then
    flag_sets="-O0 -O3,-fshort-enums,-funsigned-char"
else
    flag_sets="-O0 -O1 -O2 -O3 -Os -O2,-flto -O2,-fshort-enums -O2,-funsigned-char -O2,-m32 -O3,-flto,-fshort-enums,-funsigned-char"
fi
# shellcheck disable=SC2086 # lists of words on purpose
for cc in gcc clang; do
    asked host || continue
    for set in $flag_sets; do
        flags=$(echo "$set" | tr , ' ')
        there "$cc $flags" $cc $flags || continue
        for kernels in "" "$plain" "-DAGN_KERNEL_DSP=1"; do
            if [ -n "$quick" ]; then
                case $cc,$set,$kernels in gcc,-O0, | gcc,-O3,*DSP=1 | clang,-O3,*DSP=0*) ;; *) continue ;; esac
            fi
            same "$cc $flags $kernels" "" $cc $flags $kernels
        done
    done
done

# ---- C++ ------------------------------------------------------------------------------

for cxx in g++ clang++; do
    asked cpp || continue
    there "$cxx" $cxx || continue
    compile_runtime cc -O1 || continue
    (cd "$work/objects" && cc -O1 -w -I"$root/wire" -I"$root/firmware" -c "$root"/firmware/drivers/*.c "$work/range/agn_model_data.c" -I"$work/range")
    standards="c++11 c++17 c++20"
    [ -z "$quick" ] || standards="c++17 c++20"
    for standard in $standards; do
        for header in "$work/range/agilenn.h" "$runtime/agn_pause.h" "$runtime/agn_rate.h" "$runtime/agn_jpeg.h" "$runtime/agn_wire.h" \
            "$runtime/agn_status.h" "$runtime/agn_device.h" firmware/board.h firmware/drivers/esp_at.h firmware/drivers/esp_at_lines.h; do
            echo "#include \"$header\"" | $cxx -std=$standard -Wall -Wextra -Wconversion -pedantic -Werror -I"$work/range" -I"$runtime" \
                -Ifirmware -fsyntax-only -x c++ - 2>"$work/log" || bad "$cxx -std=$standard: $(grep -m1 error "$work/log")"
        done
    done
    if $cxx -std=c++17 -Wall -Wextra -pedantic -Werror -I"$work/range" -I"$runtime" -Ifirmware tests/support/compilers/cpp.cpp \
        "$work"/objects/*.o -o "$work/cpp" 2>"$work/log" && "$work/cpp"; then
        echo "C++:      $cxx, headers and a program"
    else
        bad "$cxx: the program in C++: $(head -n3 "$work/log")"
    fi
done

# ---- Arm ------------------------------------------------------------------------------

arm="arm-none-eabi-gcc -O2"
# shellcheck disable=SC2086
if asked arm && there "Arm" $arm -mthumb -march=armv7-a --specs=rdimon.specs; then
    user=
    has qemu-arm-static && user=qemu-arm-static
    has qemu-arm && user=qemu-arm
    if [ -n "$user" ]; then
        if [ -n "$quick" ]; then sets="-O2"; else sets="-O0 -O1 -O2 -O3 -Os -O2,-flto -O2,-fshort-enums -O2,-funsigned-char"; fi
        for set in $sets; do
            flags=$(echo "$set" | tr , ' ')
            same "Thumb-2 with DSP, $flags" $user arm-none-eabi-gcc $flags -mthumb -march=armv7-a --specs=rdimon.specs
        done
        arm-none-eabi-nm "$work"/objects/*dsp.o | grep -q ' T agn__conv_row$' || bad "Thumb-2: the DSP kernels are not taken"
        if [ -z "$quick" ]; then
            same "Thumb-2 without unaligned access" $user $arm -mthumb -march=armv7-a -mno-unaligned-access --specs=rdimon.specs
            arm-none-eabi-nm "$work"/objects/*plain.o | grep -q ' T agn__conv_row$' || bad "-mno-unaligned-access: not the plain kernels"
            same "A32" $user $arm -marm -march=armv7-a --specs=rdimon.specs
        fi
    else
        echo "skipped: runs of Arm code (qemu-arm-static is not there)"
    fi
    if has qemu-armeb-static; then
        [ -n "$quick" ] || same "A32, big-endian" qemu-armeb-static $arm -marm -mcpu=cortex-a15 -mbig-endian -Wl,--be8 -nostdlib -DPROBE_ARM_LINUX
        same "Thumb-2, big-endian" qemu-armeb-static $arm -mthumb -mcpu=cortex-a15 -mbig-endian -Wl,--be8 -nostdlib -DPROBE_ARM_LINUX
    else
        echo "skipped: runs of big-endian Arm code (qemu-armeb-static is not there)"
    fi
    refused "AGN_KERNEL_DSP=1, big-endian" $arm -mthumb -mcpu=cortex-r5 -mbig-endian -DAGN_KERNEL_DSP=1
    refused "AGN_KERNEL_DSP=1 in A32 code" $arm -marm -march=armv7-a -DAGN_KERNEL_DSP=1
    refused "AGN_KERNEL_DSP=1 with -mno-unaligned-access" $arm -mthumb -mcpu=cortex-m7 -mno-unaligned-access -DAGN_KERNEL_DSP=1
    refused "AGN_KERNEL_MVE=1 without Helium" $arm -mthumb -mcpu=cortex-m7 -DAGN_KERNEL_MVE=1
    for flags in "-mthumb -mcpu=cortex-m0plus" "-mthumb -mcpu=cortex-m3" "-mthumb -mcpu=cortex-m4" "-mthumb -mcpu=cortex-m7 -O0" \
        "-mthumb -mcpu=cortex-m23" "-mthumb -mcpu=cortex-m33" "-mthumb -mcpu=cortex-m55 -mfloat-abi=hard" "-mthumb -mcpu=cortex-r5" \
        "-mthumb -mcpu=cortex-r5 -mbig-endian" "-marm -mcpu=cortex-r5" "-marm -mcpu=cortex-r5 -mbig-endian" "-marm -march=armv6" \
        "-marm -mcpu=arm926ej-s" "-mthumb -mcpu=arm926ej-s"; do
        [ -z "$quick" ] || case $flags in "-marm -mcpu=cortex-r5" | "-marm -mcpu=arm9"*) ;; *) continue ;; esac # check_c_source.sh has others
        compiles "$flags" $arm $flags -ffreestanding
    done
fi

# ---- another byte order, another int ------------------------------------------------------

s390x="s390x-linux-gnu-gcc -static"
# shellcheck disable=SC2086
if asked s390x && there "s390x" $s390x; then
    if has qemu-s390x-static; then
        same "s390x, big-endian" qemu-s390x-static $s390x -O2
    else
        echo "skipped: runs of s390x code (qemu-s390x-static is not there)"
    fi
    refused "AGN_KERNEL_DSP=1 on s390x" $s390x -O2 -DAGN_KERNEL_DSP=1
fi
# simavr cuts long lines, and shows each in colour with a full stop at its end: only the digits are compared.
simulated() {
    timeout 1800 simavr -m atmega1284p -f 16000000 "$work/probe" 2>&1 | sed 's/\x1b\[[0-9;]*m//g; s/\.*$//' |
        grep -E '^[0-9a-f ]+$' | tr -d ' \n' >"$work/got" || true
}
# shellcheck disable=SC2086
avr() {
    for kernels in "$@"; do
        avr="avr-gcc -mmcu=atmega1284p -O2 $kernels"
        runtime=$smaller_runtime # JPEG's tables would be in its RAM
        compile_runtime $avr -Wall -Wextra -Wconversion -Werror || { bad "AVR: $(grep -m1 error "$work/log")" && return 0; }
        for codec in range lzw raw3; do
            program "$work/probe" $codec $avr -DPROBE_FRAMES=4 || { bad "AVR, $codec: $(tail -n1 "$work/log")" && return 0; }
            ram=$(avr-size "$work/probe" | awk 'END { print $2 + $3 }')
            [ "$ram" -lt 15360 ] || { bad "AVR, $codec: $ram bytes of RAM leave no stack" && return 0; }
            simulated
            head -n 5 "$work/want-$codec" | tr -d ' \n' | cmp -s - "$work/got" || bad "AVR $kernels: another result with $codec"
        done
        runtime=$work/image/runtime
        compile_runtime $avr -Wall -Wextra -Wconversion -Werror || { bad "AVR, JPEG: $(grep -m1 error "$work/log")" && return 0; }
        jpeg_program "$work/probe" $avr || { bad "AVR, JPEG: $(tail -n1 "$work/log")" && return 0; }
        simulated
        tr -d ' \n' <"$work/want-jpeg" | cmp -s - "$work/got" || bad "AVR $kernels: another result with JPEG"
        echo "compared: AVR $kernels"
    done
}
if [ -z "$quick" ] && asked avr && there "AVR" avr-gcc -mmcu=atmega1284p; then
    if has simavr; then avr "" "-DAGN_KERNEL_DSP=1"; else echo "skipped: runs of AVR code (simavr is not there)"; fi
fi

[ "$failed" -eq 0 ] || exit 1
echo "all alike"
