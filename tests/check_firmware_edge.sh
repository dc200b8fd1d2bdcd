#!/bin/sh
# The whole chain: firmware on an emulated Cortex-M7, a modem on its serial line, UDP, the server, and test images of
# Fashion-MNIST, or made up ones where Debian's package dataset-fashion-mnist is not installed. Without faults the firmware's
# prediction of each frame is the one of `agilenn run`; with 1 % of the serial bytes and 10 % of the datagrams lost each frame
# has a prediction, and a right one: the host's local one, or the host's fused one where the server had all channels.
# Exit code 77: no cross-compiler or no QEMU (skipped).
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
need arm-none-eabi-gcc qemu-system-arm
frames=64

# ---- data, model, server -----------------------------------------------------------------------------------------------

set_folder=$(sed -n 's/^path = //p' "$root/presets/fashion-v1.ini")
images=t10k-images-idx3-ubyte
if [ -e "$set_folder/$images.gz" ]; then
    data="Fashion-MNIST"
    preset=$root/presets/fashion-v1.ini
    classes=10
    image_bytes=784
    least_right=36 # chance is 6
    gzip -dc "$set_folder/$images.gz" >"$tmp/$images"
    "$bin" train --preset "$preset" --set data.train_limit=4000 --set data.test_limit=500 --set joint.epochs=2 --threads 1 \
        --no-plots --out "$tmp/model" >/dev/null 2>"$tmp/train.err" || die "train"
else
    data="made up images (no $set_folder/$images.gz)"
    tiny_set "$tmp"
    make_idx "$tmp/set" t10k $frames
    preset=$tmp/presets/tiny.ini
    classes=4
    image_bytes=144
    least_right=46
    cp "$tmp/set/$images" "$tmp/$images"
    "$bin" train --preset "$preset" --threads 1 --no-plots --out "$tmp/model" >/dev/null 2>"$tmp/train.err" || die "train"
fi
"$bin" export "$tmp/model/model.safetensors" --output "$tmp/model.agn" >/dev/null 2>"$tmp/export.err" || die "export"
dd if="$tmp/$images" of="$tmp/frames.raw" bs=16 skip=1 count=$((frames * image_bytes / 16)) 2>/dev/null
[ "$(wc -c <"$tmp/frames.raw")" -eq $((frames * image_bytes)) ] || die "too few test images"

start "$tmp/model/model.safetensors" --port 0 --wait 10000 --threads 1
protocol=1
# host: what `agilenn run` says of each frame, in the version of $protocol
host() {
    "$bin" run "$tmp/model.agn" --preset "$preset" --images $frames --port "$port" --deadline 20000 --protocol "$protocol" \
        --predictions "$tmp/host.csv" >/dev/null 2>"$tmp/run.err" || die "run"
    [ "$(awk -F, 'NR > 1 && $5 == 1 && $6 == 0' "$tmp/host.csv" | wc -l)" -eq $frames ] || die "run: not every frame was fused"
}
host

# ---- the firmware ------------------------------------------------------------------------------------------------------

# chain NAME DEADLINE_MS MODEM_OPTION...: qemu.out has a line a frame, and the figures
chain() {
    name=$1
    deadline=$2
    shift 2
    rm -f "$tmp/uart"
    set -- "$@" --connect "$tmp/uart" --server "127.0.0.1:$port"
    firmware="make -s -C $root/firmware APP=edge PROTOCOL=$protocol OUT=$tmp/$deadline-$protocol DEFINES=-DEDGE_FRAME_MS=$deadline FRAMES=$tmp/frames.raw"
    $firmware MODEL="$tmp/model.agn" >/dev/null 2>"$tmp/make.err" || die "$name: the firmware's build"
    timeout 200 qemu-system-arm -M mps2-an500 -nographic -monitor none -serial "unix:$tmp/uart,server=on,wait=on" \
        -semihosting-config enable=on,target=native -kernel "$tmp/$deadline-$protocol/edge.elf" >"$tmp/qemu.err" 2>"$tmp/qemu.out" &
    qemu=$!
    "$bin" modem "$@" >"$tmp/modem.json" 2>"$tmp/modem.err" || die "$name: modem"
    await "$qemu" 30 "the emulator"
    [ "$code" -eq 0 ] || die "$name: the firmware ended with $code"
    grep -e '^fused,' -e '^partial,' -e '^local,' "$tmp/qemu.out" >"$tmp/predictions" || die "$name: no predictions"
    [ "$(wc -l <"$tmp/predictions")" -eq $frames ] || die "$name: a frame has no prediction"
    [ "$(count frames)" -eq $frames ] || die "$name: $(count frames) frames instead of $frames"
    [ "$(count stack)" -le 2048 ] || die "$name: the stack took $(count stack) bytes"
    [ "$(($(count answers) + $(count local_fallbacks)))" -eq $frames ] || die "$name: the counts do not add up"
    [ "$(grep -c '^local,' "$tmp/predictions")" -eq "$(count local_fallbacks)" ] || die "$name: local predictions miscounted"
}
count() { sed -n "s/^$1,\([0-9]*\)\$/\1/p" "$tmp/qemu.out"; }
# Lines that are not as on the host, whose columns are image,label,prediction,local_prediction,...
compare() {
    tail -n +2 "$tmp/host.csv" | paste -d, "$tmp/predictions" - | awk -F, -v classes="$classes" '
        { expected = $1 == "fused" ? $5 : $1 == "local" ? $6 : $2 }
        $2 != expected || $2 < 0 || $2 >= classes { print "frame " NR - 1 ": " $1 "," $2 " but " expected " on the host" }'
}
right() { tail -n +2 "$tmp/host.csv" | paste -d, "$tmp/predictions" - | awk -F, '$2 == $4 { n++ } END { print n + 0 }'; }
summary() {
    echo "$1: $(count answers) of $frames frames of $data fused, of these $(count answers_partial) without some channels;" \
        "$(right) right; $(count frame_ms_mean) ms a frame, at most $(count frame_ms_max)"
}

# Nothing is lost here but time, as the emulator runs in the host's: a long deadline, which no frame needs.
chain "no faults" 20000
compare >"$tmp/differences"
[ ! -s "$tmp/differences" ] || die "no faults: $(head -n 3 "$tmp/differences")"
[ "$(grep -c '^fused,' "$tmp/predictions")" -eq $frames ] || die "no faults: $(count answers) of $frames frames were fused"
[ "$(right)" -ge $least_right ] || die "no faults: only $(right) of $frames are right"
fine=$(summary "no faults")

# Version 2 of the protocol: the same, in fewer bytes.
mean_bytes() { echo $(($(count bytes) / $(count packets_given))); } # of a packet with CoAP, repeated ones, too
longer=$(mean_bytes)
protocol=2
host
chain "version 2" 20000
compare >"$tmp/differences"
[ ! -s "$tmp/differences" ] || die "version 2: $(head -n 3 "$tmp/differences")"
[ "$(grep -c '^fused,' "$tmp/predictions")" -eq $frames ] || die "version 2: $(count answers) of $frames frames were fused"
[ $((longer - $(mean_bytes))) -ge 15 ] || die "version 2: $(mean_bytes) bytes a packet, in version 1 $longer"
protocol=1
host

chain "faults" 800 --uart-loss 1 --loss 10 --seed 3
compare >"$tmp/differences"
[ ! -s "$tmp/differences" ] || die "faults: $(head -n 3 "$tmp/differences")"
# On a busy machine the emulator has little of each deadline; tests/test_firmware_edge.c holds the share on a clock of its own.
[ "$(count answers)" -ge 4 ] || die "faults: only $(count answers) of $frames frames had an answer"
[ "$(count packets_again)" -gt $frames ] || die "faults: only $(count packets_again) packets were sent again"
echo "$fine"
summary "1 % of bytes, 10 % of datagrams lost"
