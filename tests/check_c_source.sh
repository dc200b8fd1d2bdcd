#!/bin/sh
# `agilenn export --c-source`: the folder compiles without a warning for each processor whose compiler is there, with
# its own Makefile and CMakeLists.txt, in the ways of other build systems, from C and C++, beside other models; it passes
# its own test and predicts on this machine what the emulated device predicts.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"

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
    drivers="$tmp/c/drivers/*.c" # which want a <string.h>, that some bare compilers come without
    echo '#include <string.h>' | "$@" -E - >/dev/null 2>&1 || drivers=
    # shellcheck disable=SC2086 # a pattern on purpose
    for file in "$tmp"/c/runtime/*.c $drivers "$tmp"/c/*.c "$tmp"/c/examples/self_test.c; do
        # shellcheck disable=SC2086 # a list of words on purpose
        "$@" $warnings -Wno-pedantic -DAGN_EXAMPLE_NO_MAIN -DAGN_EXAMPLE_SELF_TEST -I"$tmp/c" -c "$file" -o "$tmp/object.o" ||
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
for example in udp modem; do
    macro=AGN_EXAMPLE_$(echo $example | tr '[:lower:]' '[:upper:]')
    for cc in cc clang; do
        command -v $cc >/dev/null 2>&1 || continue
        # shellcheck disable=SC2086
        $cc $warnings "-D$macro" -I"$tmp/c" -c "$tmp/c/examples/$example.c" -o "$tmp/object.o" || die "$example.c: C99 by $cc"
    done
    c++ -x c++ -std=c++17 -Wall -Wextra -pedantic -Werror "-D$macro" -I"$tmp/c" -c "$tmp/c/examples/$example.c" \
        -o "$tmp/object.o" || die "$example.c: C++17"
done
# What takes every file of a folder, beside a main of its own.
if command -v arm-none-eabi-gcc >/dev/null 2>&1; then
    printf 'int main(void) { for (;;) {} }\n' >"$tmp/main.c"
    # shellcheck disable=SC2046
    arm-none-eabi-gcc -mthumb -mcpu=cortex-m4 --specs=nano.specs --specs=nosys.specs -I"$tmp/c" "$tmp/main.c" \
        $(find "$tmp/c" -name '*.c') -o "$tmp/object.elf" 2>"$tmp/log" || die "every file: $(head -3 "$tmp/log")"
fi

make -s -j2 -C "$tmp/c" >/dev/null || die "the Makefile"
[ "$("$tmp/c/self_test")" = "all as it should be" ] || die "the self-test"
sed 's/test_logits\[\] = {/&\n    4711,/' "$tmp/c/agn_model_test.h" >"$tmp/other.h"
cp "$tmp/c/agn_model_test.h" "$tmp/good.h"
cp "$tmp/other.h" "$tmp/c/agn_model_test.h"
make -s -j2 -C "$tmp/c" self_test >/dev/null
"$tmp/c/self_test" >"$tmp/log" && die "the self-test passes whatever comes"
grep -q 'other local logits' "$tmp/log" || die "the self-test says $(cat "$tmp/log")"
cp "$tmp/good.h" "$tmp/c/agn_model_test.h"
"$tmp/c/example" <"$tmp/frames.raw" >"$tmp/made" || die "the example"
make -s -j2 -C "$tmp/c" clean
make -s -j2 -C "$tmp/c" OPTIMISE=-Os >/dev/null || die "the Makefile with OPTIMISE=-Os"
"$tmp/c/example" <"$tmp/frames.raw" | cmp - "$tmp/made" || die "-Os and -O2 predict differently"
cmake -DAGILENN_OPTIMISE=-Os -S "$tmp/c" -B "$tmp/cmake" >/dev/null || die "CMakeLists.txt"
cmake --build "$tmp/cmake" -j2 >/dev/null || die "the CMake build"
"$tmp/cmake/example" <"$tmp/frames.raw" | cmp - "$tmp/made" || die "CMake and make build different programs"
[ "$(wc -l <"$tmp/made")" -eq 64 ] || die "$(wc -l <"$tmp/made") predictions instead of 64"

# The share of right answers is that of the device library in `agilenn run`, with no server.
"$bin" run "$tmp/model.agn" --preset tiny --port 9 --deadline 1 --json >"$tmp/run.json" 2>/dev/null || die "run"
right=$(awk '$1 == (NR - 1) % 4 { n++ } END { print n + 0 }' "$tmp/made")
expected=$(sed -n 's/^ *"local_accuracy": \([0-9.]*\),*$/\1/p' "$tmp/run.json" | awk '{ print int($1 * 64 + 0.5) }')
[ "$right" -eq "$expected" ] || die "$right of 64 right, but $expected by agilenn run"
[ "$right" -gt 32 ] || die "only $right of 64 right"
echo "the exported folder is right about $right of 64 frames, as agilenn run is"

# Two models beside each other, and both C and C++.
"$bin" export --preset tiny --output "$tmp/face.agn" --c-source "$tmp/face" --prefix Face >/dev/null || die "--prefix"
cat >"$tmp/two.cpp" <<'CPP'
#include "c/agilenn.h"
#include "face/agilenn.h"
#include "face/drivers/esp_at.h"
static struct agn_dev one, two;
static esp_at modem;
static uint32_t arena[AGN_MODEL_ARENA_BYTES / 4], other[FACE_MODEL_ARENA_BYTES / 4];
int main()
{
    return agn_dev_init(&one, agn_model_data.bytes, AGN_MODEL_BYTES, arena, sizeof arena) < 0 ||
           agn_dev_init(&two, face_model_data.bytes, FACE_MODEL_BYTES, other, sizeof other) < 0 ||
           esp_at_is_open(&modem) || one.model.model_id != AGN_MODEL_ID || two.model.model_id != FACE_MODEL_ID || AGN_MODEL_ID == FACE_MODEL_ID ||
           agn_dev_model_bytes(face_model_data.bytes, FACE_MODEL_BYTES) != FACE_MODEL_BYTES;
}
CPP
cat >"$tmp/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.13)
project(two C CXX)
add_subdirectory(c)
add_subdirectory(face)
add_executable(two two.cpp)
target_link_libraries(two PRIVATE agilenn agilenn_face agilenn-esp-at)
CMAKE
cmake -S "$tmp" -B "$tmp/both" >"$tmp/log" 2>&1 && cmake --build "$tmp/both" -j2 >"$tmp/log" 2>&1 || die "two models: $(tail -5 "$tmp/log")"
"$tmp/both/two" || die "two models in one program are not two"
"$bin" export --preset tiny --output "$tmp/face.agn" --c-source "$tmp/same" >/dev/null || die "export"
printf '#include "c/agilenn.h"\n#include "same/agilenn.h"\n' >"$tmp/same.c"
cc -c "$tmp/same.c" -o "$tmp/object.o" 2>"$tmp/log" && die "two models of one name compile"
grep -q 'two models are called agn: export one of them with --prefix' "$tmp/log" || die "two models: $(head -3 "$tmp/log")"
sed -i 's/^#define AGN_DEVICE_RUNTIME .*/#define AGN_DEVICE_RUNTIME 1/' "$tmp/same/runtime/agn_device.h"
cc -c "$tmp/same/agn_model_data.c" -o "$tmp/object.o" 2>"$tmp/log" && die "a runtime of another version compiles"
grep -q 'export the model again' "$tmp/log" || die "another version: $(head -3 "$tmp/log")"
for prefix in 2nd a-b "" "a b" abcdefghijklmnopqrstuvwxyzabcdefg; do
    "$bin" export --preset tiny --output "$tmp/face.agn" --c-source "$tmp/bad" --prefix "$prefix" 2>"$tmp/log" >/dev/null &&
        die "--prefix '$prefix' is taken"
    grep -q 'is no prefix' "$tmp/log" || die "--prefix '$prefix': $(cat "$tmp/log")"
done
"$bin" export --preset tiny --output "$tmp/face.agn" --prefix face 2>"$tmp/log" >/dev/null && die "--prefix alone"

# Over an older export: what is its own goes, what is not stays.
printf 'runtime/agn_old.c\n../outside\n' >>"$tmp/same/agilenn-export.txt"
touch "$tmp/same/runtime/agn_old.c" "$tmp/same/mine.c" "$tmp/outside"
"$bin" export --preset tiny --output "$tmp/face.agn" --c-source "$tmp/same" --prefix face 2>"$tmp/log" >/dev/null || die "again"
grep -q 'an earlier export was there: [0-9]* files replaced, 8 removed' "$tmp/log" || die "again: $(cat "$tmp/log")"
[ ! -e "$tmp/same/runtime/agn_old.c" ] && [ ! -e "$tmp/same/agn_model_data.c" ] || die "files of an earlier export are left"
[ -e "$tmp/same/mine.c" ] && [ -e "$tmp/outside" ] || die "a file of somebody else's is gone"
make -s -j2 -C "$tmp/same" >/dev/null && "$tmp/same/self_test" >/dev/null || die "the folder exported over another one"
grep -q 'not of this export' "$tmp/log" && die "strangers in a folder without any: $(cat "$tmp/log")"
# Over one that left no list of its files.
rm "$tmp/same/agilenn-export.txt"
touch "$tmp/same/runtime/agn_old.c" "$tmp/same/drivers/old.h"
"$bin" export --preset tiny --output "$tmp/face.agn" --c-source "$tmp/same" --prefix face 2>"$tmp/log" >/dev/null || die "without a list"
grep -q 'same: 2 C files there are not of this export, .*old' "$tmp/log" || die "without a list: $(cat "$tmp/log")"
for folder in "$tmp/mine.c/c" "$tmp/mine.c"; do
    touch "$tmp/mine.c"
    "$bin" export --preset tiny --output "$tmp/face.agn" --c-source "$folder" 2>"$tmp/log" >/dev/null && die "exported to $folder"
    [ "$(wc -l <"$tmp/log")" -eq 1 ] && grep -q "mine.c" "$tmp/log" || die "exported to $folder: $(cat "$tmp/log")"
done

# As other build systems read the folder; their tools are not here, so what they do to it is imitated.
cat >"$tmp/idf.cmake" <<'CMAKE'
function(idf_component_register)
  cmake_parse_arguments(ARG "" "" "SRCS;INCLUDE_DIRS" ${ARGN})
  list(LENGTH ARG_SRCS count)
  if(count LESS 10 OR NOT ARG_INCLUDE_DIRS STREQUAL "." OR NOT "${ARG_SRCS}" MATCHES "/drivers/")
    message(FATAL_ERROR "a component of ${count} files")
  endif()
  foreach(file IN LISTS ARG_SRCS)
    if(NOT EXISTS ${file})
      message(FATAL_ERROR "there is no ${file}")
    endif()
  endforeach()
  message("component of ${count} files")
endfunction()
include(${FOLDER}/CMakeLists.txt)
CMAKE
cmake -DFOLDER="$tmp/c" -P "$tmp/idf.cmake" 2>&1 | grep -q 'component of' || die "as an ESP-IDF component"
cmake -P "$tmp/c/CMakeLists.txt" || die "CMakeLists.txt read in script mode"
cat >"$tmp/zephyr.cmake" <<'CMAKE'
set(CONFIG_AGILENN y)
function(zephyr_library_named name)
endfunction()
function(zephyr_library_sources)
  foreach(file IN LISTS ARGN)
    if(NOT EXISTS ${file})
      message(FATAL_ERROR "there is no ${file}")
    endif()
    message("source ${file}")
  endforeach()
endfunction()
function(zephyr_include_directories folder)
  if(NOT EXISTS ${folder}/agilenn.h)
    message(FATAL_ERROR "no agilenn.h in ${folder}")
  endif()
endfunction()
include(${FOLDER}/CMakeLists.txt)
CMAKE
for driver in n y; do
    cmake -DFOLDER="$tmp/c" -DCONFIG_AGILENN_ESP_AT=$driver -P "$tmp/zephyr.cmake" >"$tmp/log" 2>&1 || die "as a Zephyr module: $(cat "$tmp/log")"
    [ "$(grep -c '^source .*/runtime/' "$tmp/log")" -eq "$(find "$tmp"/c/runtime -name '*.c' | wc -l)" ] || die "Zephyr: the runtime"
    want=0
    [ $driver = n ] || want=$(find "$tmp"/c/drivers -name '*.c' | wc -l)
    [ "$(grep -c '^source .*/drivers/' "$tmp/log")" -eq "$want" ] || die "Zephyr: CONFIG_AGILENN_ESP_AT=$driver"
done
for symbol in AGILENN AGILENN_ESP_AT; do
    grep -q "^config $symbol\$" "$tmp/c/zephyr/Kconfig" || die "Kconfig lacks $symbol"
done
# Flags that come with a library, as Zephyr's and many vendors' do, are the folder's as well.
if command -v arm-none-eabi-gcc >/dev/null 2>&1; then
    mkdir "$tmp/vendor"
    cat >"$tmp/vendor/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.13)
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
project(app C)
add_library(flags INTERFACE)
target_compile_options(flags INTERFACE -mcpu=cortex-m33 -mthumb)
target_link_options(flags INTERFACE -mcpu=cortex-m33 -mthumb --specs=nosys.specs)
add_subdirectory($tmp/c c)
add_executable(app $tmp/uses.c)
target_link_libraries(app PRIVATE flags agilenn)
CMAKE
    printf '#include "agilenn.h"\nstatic struct agn_dev d;\nstatic uint32_t a[AGN_MODEL_ARENA_BYTES / 4];\nint main(void) {
return agn_dev_init(&d, agn_model_data.bytes, AGN_MODEL_BYTES, a, sizeof a); }\n' >"$tmp/uses.c"
    cmake -S "$tmp/vendor" -B "$tmp/vendor/b" >"$tmp/log" 2>&1 && cmake --build "$tmp/vendor/b" -j2 >"$tmp/log" 2>&1 ||
        die "flags of a library: $(tail -5 "$tmp/log")"
    arm-none-eabi-objdump -d "$tmp/vendor/b/app" | grep -q 'smlad' || die "not compiled with the flags of its target"
fi
# Arduino: the root alone is on the include path, and src/ is what is compiled.
printf '#include <agilenn.h>\nint main() { return AGN_MODEL_CLASSES != 4; }\n' >"$tmp/sketch.cpp"
for folder in c c/src; do
    c++ -DARDUINO=10800 -I"$tmp/$folder" "$tmp/sketch.cpp" -o "$tmp/sketch" && "$tmp/sketch" || die "<agilenn.h> from $folder"
done
for file in "$tmp"/c/src/*.c; do
    cc -DARDUINO=10800 -I"$tmp/c/src" -c "$file" -o "$tmp/arduino-$(basename "$file" .c).o" || die "Arduino: $file"
done
cc "$tmp"/uses.c -I"$tmp/c" "$tmp"/arduino-*.o -o "$tmp/sketch" && "$tmp/sketch" || die "what Arduino compiles does not link"
echo "and so it is for CMake, ESP-IDF, Zephyr and Arduino, beside another model"
