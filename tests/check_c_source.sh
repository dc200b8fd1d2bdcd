#!/bin/sh
# `agilenn export --c-source`: the folder compiles without a warning for each processor whose compiler is there, with
# its own Makefile and CMakeLists.txt, and predicts on this machine what the emulated device predicts.
set -eu

bin=${AGN_BIN:?path of agilenn}
tmp=${AGN_TEST_TMP:?a folder for this test}
root=${AGN_SOURCE_DIR:?the source folder}
LC_ALL=C
AGILENN_PRESETS=$tmp/presets
export LC_ALL AGILENN_PRESETS

die() {
    echo "FAILED: $*" >&2
    exit 1
}

# shellcheck source=tests/support/tiny_set.sh
. "$root/tests/support/tiny_set.sh"
tiny_set "$tmp"
"$bin" train --preset tiny --threads 1 --no-plots --out "$tmp/tiny" >/dev/null 2>&1 || die "train"
"$bin" export "$tmp/tiny/model.safetensors" --output "$tmp/model.agn" --c-source "$tmp/c" >/dev/null || die "export"
dd if="$tmp/set/t10k-images-idx3-ubyte" of="$tmp/frames.raw" bs=16 skip=1 count=576 2>/dev/null # 64 frames

warnings="-std=c99 -Wall -Wextra -Wconversion -Wshadow -Wpedantic -Werror"
# compiles NAME COMPILER FLAGS...
compiles() {
    name=$1
    shift
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "not compiled for $name: $1 is not installed"
        return 0
    fi
    for file in "$tmp"/c/runtime/*.c "$tmp"/c/agn_model_data.c "$tmp"/c/example.c; do
        # shellcheck disable=SC2086 # a list of words on purpose
        "$@" $warnings -DAGN_EXAMPLE_NO_MAIN -I"$tmp/c" -I"$tmp/c/runtime" -c "$file" -o "$tmp/object.o" ||
            die "$name: $(basename "$file")"
    done
    echo "compiled for $name"
}
arm="arm-none-eabi-gcc -mthumb -ffreestanding -O2"
# shellcheck disable=SC2086
for cpu in cortex-m0plus cortex-m4 cortex-m7 cortex-m33 cortex-m55; do
    compiles $cpu $arm -mcpu=$cpu
done
# With floating-point registers, which Helium shares, a Cortex-M55 takes the kernels for it by itself.
# shellcheck disable=SC2086
compiles "cortex-m55 with Helium" $arm -mcpu=cortex-m55 -mfloat-abi=hard
if command -v arm-none-eabi-gcc >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    $arm -mcpu=cortex-m55 -mfloat-abi=hard -I"$tmp/c/runtime" -c "$tmp/c/runtime/agn_kernel_mve.c" -o "$tmp/object.o"
    arm-none-eabi-nm "$tmp/object.o" | grep -q ' T agn__conv_row$' || die "the Helium kernels are not taken on a Cortex-M55"
fi
compiles RISC-V riscv64-unknown-elf-gcc -ffreestanding -O2 -march=rv32imac -mabi=ilp32
compiles "this machine" cc -O2

make -s -C "$tmp/c" >/dev/null || die "the Makefile"
"$tmp/c/example" <"$tmp/frames.raw" >"$tmp/made" || die "the example"
make -s -C "$tmp/c" clean
make -s -C "$tmp/c" OPTIMISE=-Os >/dev/null || die "the Makefile with OPTIMISE=-Os"
"$tmp/c/example" <"$tmp/frames.raw" | cmp - "$tmp/made" || die "-Os and -O2 predict differently"
cmake -DAGILENN_OPTIMISE=-Os -S "$tmp/c" -B "$tmp/cmake" >/dev/null || die "CMakeLists.txt"
cmake --build "$tmp/cmake" >/dev/null || die "the CMake build"
"$tmp/cmake/example" <"$tmp/frames.raw" | cmp - "$tmp/made" || die "CMake and make build different programs"
[ "$(wc -l <"$tmp/made")" -eq 64 ] || die "$(wc -l <"$tmp/made") predictions instead of 64"

# The share of right answers is that of the device library in `agilenn run`, with no server.
"$bin" run "$tmp/model.agn" --preset tiny --port 9 --deadline 1 --json >"$tmp/run.json" 2>/dev/null || die "run"
right=$(awk '$1 == (NR - 1) % 4 { n++ } END { print n + 0 }' "$tmp/made")
expected=$(sed -n 's/^ *"local_accuracy": \([0-9.]*\),*$/\1/p' "$tmp/run.json" | awk '{ print int($1 * 64 + 0.5) }')
[ "$right" -eq "$expected" ] || die "$right of 64 right, but $expected by agilenn run"
[ "$right" -gt 32 ] || die "only $right of 64 right"
echo "the exported folder is right about $right of 64 frames, as agilenn run is"
