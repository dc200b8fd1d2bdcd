#!/bin/sh
# The images for the board stm32f746g-disco, which nothing here emulates: all programs build without warnings, and what
# lies where is right. Exit code 77: no cross-compiler (skipped). test_board_stm32f746.c runs the set-up code.
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
need arm-none-eabi-gcc arm-none-eabi-nm arm-none-eabi-objdump

flash_begin=134217728 # 0x08000000, 1 MB
flash_end=$((flash_begin + 1048576))
dma_begin=537182208 # 0x2004C000, 16 KB
dma_end=$((dma_begin + 16384))

run 0 export --preset cifar10-paper --output "$tmp/model.agn"
frame_bytes=27648
dd if=/dev/zero of="$tmp/frames.raw" bs="$frame_bytes" count=1 2>/dev/null

# number SYMBOL: its value, in decimal
number() { printf '%d' "0x$(sed -n "s/^\([0-9a-f]*\) [^ ] $1\$/\1/p" "$tmp/symbols.txt")"; }
# word INDEX: of the vector table, in decimal
word() {
    od -An -t u1 -j $((4 * $1)) -N 4 "$tmp/image.bin" | awk '{ print $1 + 256 * ($2 + 256 * ($3 + 256 * $4)) }'
}

# check_image NAME: out/NAME.elf
check_image() {
    elf=$tmp/images/$1.elf
    arm-none-eabi-nm "$elf" >"$tmp/symbols.txt"
    arm-none-eabi-objcopy -O binary "$elf" "$tmp/image.bin"
    [ "$(number vectors)" -eq $flash_begin ] || die "$1: the vector table is not at 0x08000000"
    [ "$(word 0)" -eq "$(number board_stack_end)" ] || die "$1: the first word is not the stack's end"
    [ "$(word 0)" -eq $dma_begin ] || die "$1: the stack does not end at 0x2004C000, where DMA's memory begins"
    for index in $(seq 1 15); do
        entry=$(word "$index")
        [ $((entry % 2)) -eq 1 ] && [ "$entry" -gt $flash_begin ] && [ "$entry" -lt $flash_end ] ||
            die "$1: vector $index is $entry: not Thumb code in flash"
    done
    [ "$(word 1)" -eq $(($(number board_reset) + 1)) ] || die "$1: the reset vector is not board_reset"
    # A board without a debugger faults on a semihosting call.
    ! arm-none-eabi-objdump -d "$elf" | grep -q '[[:space:]]bkpt' || die "$1: a breakpoint instruction"
    ! grep -E ' (_?malloc(_r)?|_?free(_r)?|_?calloc(_r)?|_sbrk(_r)?)$' "$tmp/symbols.txt" || die "$1: a heap"
    for ring in modem_in modem_out; do
        [ "$(number $ring)" -ge $dma_begin ] && [ "$(number $ring)" -lt $dma_end ] ||
            die "$1: $ring is outside of the region that is not cached"
        [ $(($(number $ring) % 32)) -eq 0 ] || die "$1: $ring is not aligned"
    done
    [ "$(number board_dma_end)" -le $dma_end ] || die "$1: more DMA memory than there is"
    [ $(($(number board_stack_limit) - $(number board_bss_end))) -ge 256 ] || die "$1: no guard below the stack"
}

make_image() {
    make -s -C "$root/firmware" BOARD=stm32f746g-disco OUT="$tmp/images" MODEL="$tmp/model.agn" \
        FRAMES="$tmp/frames.raw" "$@" || die "build with $*"
}

for app in count stages frames edge; do
    make_image APP="$app"
    check_image "$app"
done
make_image APP=edge MODEM_PORT=uart7
check_image edge-uart7
if make -s -C "$root/firmware" BOARD=stm32f746g-disco OUT="$tmp/images" MODEM_PORT=uart9 >"$tmp/uart9.txt" 2>&1; then
    die "MODEM_PORT=uart9 was built"
fi
grep -q 'usart6 or uart7' "$tmp/uart9.txt" || die "MODEM_PORT=uart9: the message does not say what there is"
make_image APP=edge OPENOCD="echo openocd" flash >"$tmp/flash.txt"
grep -q "openocd -f board/stm32f7discovery.cfg -c program .*edge.elf verify reset exit" "$tmp/flash.txt" ||
    die "make flash: $(cat "$tmp/flash.txt")"

# Of the whole device: code and model in flash, beside the frame that is linked in only here; RAM with the arena that
# this model needs, and 2 KB of stack, of which less than 1 KB is used (tests/check_firmware_edge.sh measures it).
arena=$("$bin" info "$tmp/model.agn" --json | sed -n 's/^.*"arena_bytes": *\([0-9]*\).*$/\1/p' | head -n 1)
make_image APP=edge OUT="$tmp/fit" "DEFINES=-DAPP_ARENA_BYTES=$arena"
total=$(arm-none-eabi-size "$tmp/images/edge.elf" | awk 'NR == 2 { print $1 + $2 }')
model=$(wc -c <"$tmp/model.agn")
flash=$((total - frame_bytes))
ram=$(arm-none-eabi-size "$tmp/fit/edge.elf" | awk 'NR == 2 { print $2 + $3 }')
[ "$flash" -le 40960 ] || die "code and model take $flash bytes of flash; at most 40960 are promised"
[ $((ram + 2048)) -le 40960 ] || die "edge takes $ram bytes of RAM and up to 2048 of stack; at most 40960 are promised"
echo "edge: $((flash - model)) bytes of code, $model of model, together $flash of 40960;" \
    "RAM $ram bytes (arena $arena, the modem's rings 16384) and up to 2048 of stack, together $((ram + 2048)) of 40960"
