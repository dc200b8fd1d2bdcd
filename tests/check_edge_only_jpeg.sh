#!/bin/sh
# The system edge-only with JPEG as a user meets it: the network learns from what the device's encoder leaves of each image, the
# device sends that and the server decodes it, so that what the server says is what `eval` says; and a network that scales the
# image up first, and LZW. With a cross-compiler and QEMU the firmware makes the same bytes.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
cat >"$tmp/presets/tiny-jpeg.ini" <<'END'
base = tiny
[model]
system = edge-only
codec = jpeg
jpeg_quality = 30
END

# -- what it is, and what has no images to send
run 0 info --preset tiny-jpeg
refused 1 "model.codec = jpeg codes images, and the system agilenn sends features" info --preset tiny --set model.codec=jpeg
refused 1 "model.jpeg_quality = '101': expected a whole number from 1 to 100" info --preset tiny-jpeg --set model.jpeg_quality=101
for preset in fashion-edge-only-jpeg cifar10-edge-only; do
    run 0 info --preset "$root/presets/$preset.ini"
done

# served_as NAME: trains the preset NAME to $tmp/NAME.agn, serves and runs it: $float, and the figures of the run.
served_as() {
    preset=$1
    run 0 train --preset "$preset" --out "$tmp/$preset" --threads 1 --no-plots
    run 0 eval "$tmp/$preset/model.safetensors" --json
    float=$(figure float_accuracy)
    run 0 export "$tmp/$preset/model.safetensors" --output "$tmp/$preset.agn"
    start "$tmp/$preset/model.safetensors" --port 0
    run 0 run "$tmp/$preset.agn" --preset "$preset" --port "$port" --deadline 5000 --json --predictions "$tmp/$preset.csv"
    [ "$(figure accuracy)" = "$float" ] || die "$preset: eval says $float, the server $(figure accuracy)"
    [ "$(figure fused)" = 64 ] || die "$preset: not every frame was answered"
}

# same_on_boards BOARD...: the firmware's packets are this machine's, byte for byte.
same_on_boards() {
    dd if="$tmp/set/t10k-images-idx3-ubyte" of="$tmp/frames.raw" bs=16 skip=1 count=360 2>/dev/null # 40 of 12 x 12 bytes
    cc -std=gnu11 -O1 -I"$root/firmware" -I"$root/wire" -I"$root/device" -DAPP_MODEL="\"$tmp/tiny-jpeg.agn\"" \
        -DAPP_FRAMES="\"$tmp/frames.raw\"" "$root"/wire/*.c "$root"/device/*.c "$root/firmware/boards/host/board.c" \
        "$root/firmware/apps/frame.c" "$root/firmware/apps/frames.c" "$root/firmware/apps/data.S" -o "$tmp/host" -z noexecstack ||
        die "the host's build"
    "$tmp/host" 2>"$tmp/host.txt" || die "the host's run"
    [ "$(grep -c '^packet,' "$tmp/host.txt")" -ge 40 ] || die "the host made $(grep -c '^packet,' "$tmp/host.txt") packets"
    for board in "$@"; do
        make -s -C "$root/firmware" run BOARD="$board" APP=frames MODEL="$tmp/tiny-jpeg.agn" FRAMES="$tmp/frames.raw" \
            OUT="$tmp/$board" >"$tmp/out" 2>"$tmp/$board.txt" || die "$board does not run"
        cmp "$tmp/host.txt" "$tmp/$board.txt" || die "$board differs from the host"
    done
}

# -- JPEG: fewer bytes, and the answers of eval
served_as tiny-jpeg
holds "$float > 0.5"
bytes=$(figure payload_bytes_mean)
holds "$bytes < 100"
run 0 info "$tmp/tiny-jpeg.agn"
out_has "sends          the image as JPEG of quality 30"
run 0 run "$tmp/tiny-jpeg.agn" --preset tiny-jpeg --port "$port" --deadline 50 --drop 500 --json
[ "$(figure predictions_lost)" -gt 0 ] || die "frames without an answer have no prediction"
if command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null; then
    run 0 run "$tmp/tiny-jpeg.agn" --preset tiny-jpeg --port "$port" --deadline 5000 --json --firmware "$root/firmware" \
        --predictions "$tmp/again.csv"
    # the last columns are times
    cut -d , -f 1-3 "$tmp/tiny-jpeg.csv" >"$tmp/first" && cut -d , -f 1-3 "$tmp/again.csv" | cmp -s - "$tmp/first" ||
        die "other predictions with the firmware's count"
    same_on_boards mps2-an500 microbit
else
    echo "skipped: the firmware (no arm-none-eabi-gcc, or no qemu-system-arm)"
fi
stop TERM 0

refused 1 "--codec raw3: the model has learned from images that went through JPEG" export \
    "$tmp/tiny-jpeg/model.safetensors" --codec raw3 --output "$tmp/raw.agn"

# -- another quality is another model: device and server do not misread each other
model_id() { sed -n 's/.*model id \([0-9a-f]*\)$/\1/p' "$tmp/out"; }
run 0 export --preset tiny-jpeg --output "$tmp/a.agn"
run 0 info "$tmp/a.agn"
one=$(model_id)
run 0 export --preset tiny-jpeg --set model.jpeg_quality=31 --output "$tmp/b.agn"
run 0 info "$tmp/b.agn"
[ -n "$one" ] && [ "$one" != "$(model_id)" ] || die "models that differ in quality have one id"

# -- LZW, and a network on the server that begins with a larger image
sed 's/^codec = jpeg/codec = lzw/; /^jpeg_quality/d' "$tmp/presets/tiny-jpeg.ini" >"$tmp/presets/tiny-lzw.ini"
served_as tiny-lzw
stop TERM 0
{
    cat "$tmp/presets/tiny-jpeg.ini"
    echo "remote = up:s2 conv:c8:s2 conv:c8:s2"
} >"$tmp/presets/tiny-up.ini"
served_as tiny-up
stop TERM 0
