#!/bin/sh
# The system deepcod as a user meets it: trained, resumed, evaluated, exported to a device of one convolution,
# served, and run through a real socket, with the answers that the symbols of the device deserve.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
cat >"$tmp/presets/tiny-deepcod.ini" <<'END'
base = tiny
[model]
system = deepcod
extractor = conv:c4:k4:s4:l1
decoder = attention up conv:c16:l1 fused:c16:e1 up conv:c8:l1 conv:c1:a2
remote = conv:c8:s2
[train]
optimizer = adam
beta1 = 0
beta2 = 0.9
[reference]
optimizer = sgd
[joint]
epochs = 8
rate = 0.003
teach = logits
END

# -- what it is, and what it cannot be
run 0 info --preset tiny-deepcod
out_has "system         deepcod: a compressed image is sent"
out_has "feature map    3x3x4: the first 0 channels stay, 4 are sent as 3-bit symbols (codec range)"
for preset in fashion-deepcod cifar10-deepcod; do
    run 0 info --preset "$root/presets/$preset.ini"
    ! grep -q "none can run this" "$tmp/out" || die "no device runs $preset"
done
refused 1 "model.decoder is missing" info --preset tiny-deepcod --set model.decoder=
refused 1 "expected an image of 12x12x1, by tanh" info --preset tiny-deepcod --set model.decoder=conv:c1:a2
refused 1 "expected an image of 12x12x1, by tanh" info --preset tiny-deepcod --set "model.decoder=up:s4 conv:c1"
refused 1 "model.extractor, block 'conv:c4:k4:s2'" info --preset tiny-deepcod --set model.extractor=conv:c4:k4:s2
refused 1 "model.codec = jpeg codes images" info --preset tiny-deepcod --set model.codec=jpeg

# -- trained, and for longer; each way in which it may learn
run 0 train --preset tiny-deepcod --out "$tmp/m" --threads 1
out_has "  remote_only_accuracy"
out_has "  reference_accuracy_before"
for figure in local_only skewness "  rho" local_channels; do
    ! grep -q "$figure" "$tmp/out" || die "$figure: a figure of what is not there"
done
[ -s "$tmp/m/training.png" ] || die "no plot of the training"
[ ! -e "$tmp/m/importance.png" ] || die "a plot of importance, which nothing measured"
run 0 train --preset tiny-deepcod --out "$tmp/m" --threads 1 --no-plots --resume --set joint.epochs=10
run 0 train --preset tiny-deepcod --out "$tmp/averaged" --threads 1 --no-plots --set train.ema=0.9 \
    --set data.validation=0.25 --set train.choose=best --set joint.teach=labels --set joint.epochs=2
run 0 train --preset tiny-deepcod --out "$tmp/plain" --threads 1 --no-plots --set joint.teach=none --set joint.epochs=1 \
    --set train.optimizer=sgd --set model.codec=lzw
refused 1 "the system deepcod has no reference network" train --preset tiny-deepcod --out "$tmp/n" \
    --reference "$tmp/m/reference.safetensors" --no-plots
refused 1 "one of the system deepcod has none" explain "$tmp/m/model.safetensors" --output "$tmp/e.png"
run 0 info "$tmp/m/model.safetensors"
out_has "accuracy of the classifier on the images themselves"
run 0 eval "$tmp/m/model.safetensors" --json --packets 2
float=$(figure float_accuracy)
holds "$float > 0.5"
out_has '"local_only_accuracy": null'
out_has '"skewness_mean": null'

# -- exported: a device of one layer that keeps nothing, and C sources around it
run 0 export "$tmp/m/model.safetensors" --output "$tmp/m.agn" --c-source "$tmp/folder"
run 0 info "$tmp/m.agn"
refused 1 "" export "$tmp/m/model.safetensors" --output "$tmp/sure.agn" --confidence 0.99

# -- served and run: the device computes in integers, so that a symbol here and there is its neighbour
start "$tmp/m/model.safetensors" --port 0
run 0 run "$tmp/m.agn" --preset tiny-deepcod --port "$port" --deadline 5000 --json --predictions "$tmp/p.csv"
accuracy=$(figure accuracy)
holds "$accuracy > $float - 0.1 && $accuracy < $float + 0.1"
[ "$(figure fused)" = 64 ] || die "not every frame was answered"
[ "$(figure raw_bytes)" = 14.0 ] || die "4 channels of 9 symbols are 4 x 4 bytes with their rows padded, not $(figure raw_bytes)"
out_has '"local_accuracy": null'
run 0 run "$tmp/m.agn" --preset tiny-deepcod --port "$port" --deadline 50 --drop 500 --json --predictions "$tmp/lost.csv"
lost=$(figure predictions_lost)
[ "$lost" -gt 0 ] || die "frames without an answer have no prediction"
[ "$(grep -c ',none$' "$tmp/lost.csv")" = "$lost" ] || die "the file tells $lost frames without a prediction"
run 0 swarm "$tmp/m.agn" --preset tiny-deepcod --port "$port" --devices 4 --duration 1
if command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null; then
    run 0 run "$tmp/m.agn" --preset tiny-deepcod --port "$port" --deadline 5000 --json --firmware "$root/firmware" \
        --predictions "$tmp/counted.csv"
    instructions=$(figure row_instructions)
    [ -n "$instructions" ] || die "the firmware counted nothing"
    holds "$instructions > 1000"
    cut -d , -f 1-3 "$tmp/p.csv" >"$tmp/first" # the last columns are times
    cut -d , -f 1-3 "$tmp/counted.csv" | cmp -s - "$tmp/first" || die "other predictions with the firmware's count"
else
    echo "skipped: the firmware (no arm-none-eabi-gcc, or no qemu-system-arm)"
fi
stop TERM 0

# -- LZW instead of the range coder
run 0 export "$tmp/plain/model.safetensors" --output "$tmp/plain.agn"
start "$tmp/plain/model.safetensors" --port 0
run 0 run "$tmp/plain.agn" --preset tiny-deepcod --port "$port" --deadline 5000 --json
[ "$(figure fused)" = 64 ] || die "not every frame in LZW was answered"
stop TERM 0
