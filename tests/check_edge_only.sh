#!/bin/sh
# The system edge-only as a user meets it: trained, resumed, exported, served, and run through a real socket. The image
# arrives as it is, so that what the server says is what `eval` says; without an answer there is no prediction.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
cat >"$tmp/presets/tiny-edge-only.ini" <<'END'
base = tiny
[model]
system = edge-only
codec = raw3
END

# -- what it is
run 0 info --preset tiny-edge-only
out_has "system         edge-only: the image itself is sent"
out_has "remote (server): conv:c8:s2"
! grep -q "extractor (device)" "$tmp/out" || die "edge-only has no extractor"
refused 1 "model.codec = range codes features" info --preset tiny-edge-only --set model.codec=range
refused 1 "model.system = 'edge': expected agilenn or edge-only" info --preset tiny --set model.system=edge

# -- trained; interrupted at the end of a phase it has, it goes on
run 0 train --preset tiny-edge-only --out "$tmp/m" --threads 1 --no-plots --set joint.epochs=2
run 0 train --preset tiny-edge-only --out "$tmp/m" --threads 1 --resume
out_has "  remote_only_accuracy"
for figure in nan local_only skewness centroids; do
    ! grep -q "$figure" "$tmp/out" || die "$figure: a figure of what is not there"
done
[ -s "$tmp/m/training.png" ] || die "no plot of the training"
[ ! -e "$tmp/m/importance.png" ] || die "a plot of importance, which nothing measured"
refused 1 "the system edge-only has no reference network" train --preset tiny-edge-only --out "$tmp/n" \
    --reference "$tmp/m/reference.safetensors" --no-plots
refused 1 "one of the system edge-only has none" explain "$tmp/m/model.safetensors" --output "$tmp/e.png"
run 0 train --preset tiny-edge-only --out "$tmp/averaged" --threads 1 --no-plots --set train.ema=0.9 \
    --set data.validation=0.25 --set train.choose=best
run 0 eval "$tmp/m/model.safetensors" --json
float=$(figure float_accuracy)
holds "$float > 0.5"
out_has '"local_only_accuracy": null'
out_has '"skewness_mean": null'

# -- exported: a device of no layers, and C sources around it
run 0 export "$tmp/m/model.safetensors" --output "$tmp/m.agn" --c-source "$tmp/folder"
run 0 info "$tmp/m.agn"
out_has "sends          the image as it is: 12 rows of 12 bytes"
refused 1 "" export "$tmp/m/model.safetensors" --output "$tmp/sure.agn" --confidence 0.99

# -- served and run
start "$tmp/m/model.safetensors" --port 0
run 0 run "$tmp/m.agn" --preset tiny-edge-only --port "$port" --deadline 5000 --json --predictions "$tmp/p.csv"
[ "$(figure accuracy)" = "$float" ] || die "eval says $float, the server $(figure accuracy)"
[ "$(figure fused)" = 64 ] || die "not every frame was answered"
[ "$(figure raw_bytes)" = 144.0 ] || die "12x12 pixels are 144 bytes"
out_has '"local_accuracy": null'
[ "$(grep -c ',fused$' "$tmp/p.csv")" = 64 ] || die "64 predictions are in the file"
run 0 run "$tmp/m.agn" --preset tiny-edge-only --port "$port" --deadline 50 --drop 500 --json --predictions "$tmp/p.csv"
lost=$(figure predictions_lost)
[ "$lost" -gt 0 ] || die "frames without an answer have no prediction"
[ "$(grep -c ',none$' "$tmp/p.csv")" = "$lost" ] || die "the file tells $lost frames without a prediction"
run 0 swarm "$tmp/m.agn" --preset tiny-edge-only --port "$port" --devices 4 --duration 1

# -- what needs a part that it has not says so
for what in "curves $tmp/m/model.safetensors --data $tmp/set" "bench codec $tmp/m/model.safetensors" \
    "eval $tmp/m/model.safetensors --packets 4" "bench train-step --preset tiny-edge-only --steps 1"; do
    # shellcheck disable=SC2086
    refused 1 "one of the system edge-only has none" $what
done
stop TERM 0
