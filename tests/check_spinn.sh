#!/bin/sh
# The system spinn as a user meets it: trained, resumed to the same bits, exported, served, and run through a real
# socket. Frames of which the exit is sure are answered by the device and counted; the others by the server, and by the
# exit where the server is silent.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
cat >"$tmp/presets/tiny-spinn.ini" <<'END'
base = tiny
[model]
system = spinn
codec = lzw
extractor = conv:c4:s2 conv:c6
exit_threshold = 0.6
[joint]
local = 0.15
rate = 0.05
epochs = 5
END

# -- what it is
run 0 info --preset tiny-spinn
out_has "system         spinn: the device leaves at an exit that is sure"
out_has "feature map    6x6x6: sent in 8 bits a value (codec lzw), unless the exit's softmax reaches 0.6"
! grep -q "reference (" "$tmp/out" || die "spinn has no reference network"
refused 1 "model.codec = range codes symbols of 3 bits" info --preset tiny-spinn --set model.codec=range
refused 1 "ends without a ReLU6" info --preset tiny-spinn --set "model.extractor=conv:c4:s2 mb:c4:e2"
refused 1 "the system spinn sends features" info --preset tiny-spinn --set model.codec=jpeg

# -- trained; what was stopped and goes on ends in the same bits as what was not
run 0 train --preset tiny-spinn --out "$tmp/m" --threads 1 --no-plots
out_has "  exit_share"
for figure in nan skewness centroids rho; do
    ! grep -q "$figure" "$tmp/out" || die "$figure: a figure of what is not there"
done
mkdir "$tmp/stopped"
"$bin" train --preset tiny-spinn --out "$tmp/stopped" --threads 1 --no-plots --set joint.epochs=400 >"$tmp/log" 2>&1 &
training=$!
wait_for 20 has_bytes "$tmp/stopped/checkpoint.safetensors"
signal TERM "$training"
await "$training" 20 "the training that was stopped"
[ "$code" -eq 130 ] || die "the training ended with exit code $code after SIGTERM, expected 130"
run 0 train --preset tiny-spinn --out "$tmp/stopped" --threads 1 --no-plots --set joint.epochs=400 --resume
run 0 train --preset tiny-spinn --out "$tmp/whole" --threads 1 --no-plots --set joint.epochs=400
cmp -s "$tmp/stopped/model.safetensors" "$tmp/whole/model.safetensors" || die "a resumed training ends elsewhere"
run 0 train --preset tiny-spinn --out "$tmp/averaged" --threads 1 --set train.ema=0.9 --set data.validation=0.25 \
    --set train.choose=best --set train.optimizer=adam --set joint.rate=0.01
[ -s "$tmp/averaged/training.png" ] || die "no plot of the training"
[ ! -e "$tmp/averaged/importance.png" ] || die "a plot of importance, which nothing measured"

# -- evaluated: either answer counts, never both
run 0 eval "$tmp/m/model.safetensors" --json
float=$(figure float_accuracy)
exits=$(figure exit_share)
holds "$float > 0.5"
holds "$exits > 0"
holds "$exits < 1"
[ "$(figure alpha)" = 0.0 ] || die "nothing is fused, but alpha is $(figure alpha)"
for key in skewness_mean level_share channel_importance; do
    out_has "\"$key\": null"
done

# -- exported: the map's scale is the ReLU6's, which the server takes for granted
run 0 export "$tmp/m/model.safetensors" --output "$tmp/m.agn" --c-source "$tmp/folder" --json
out_has '"scale": 0.02352941'
run 0 info "$tmp/m.agn"
out_has "6 rows of 36 bytes are sent, values of 8 bits"
(cd "$tmp/folder" && make -s >"$tmp/make.log" 2>&1) || die "the exported folder does not build: $(cat "$tmp/make.log")"

# -- served and run: the device in int8 leaves about as often as in float, and the rest is the server's
start "$tmp/m/model.safetensors" --port 0
run 0 run "$tmp/m.agn" --preset tiny-spinn --port "$port" --deadline 5000 --json
sure=$(figure sure)
holds "$sure >= 64 * $exits - 8"
holds "$sure <= 64 * $exits + 8"
[ "$(figure fused)" = $((64 - sure)) ] || die "$sure left at the exit, but $(figure fused) of 64 were answered"
holds "$(figure accuracy) >= $float - 0.05"
[ "$(figure raw_bytes)" = 216.0 ] || die "6x6x6 values are 216 bytes, not $(figure raw_bytes)"
run 0 swarm "$tmp/m.agn" --preset tiny-spinn --port "$port" --devices 4 --duration 1
stop TERM 0

# -- a silent server: the exit's answer, sure or not
run 0 run "$tmp/m.agn" --preset tiny-spinn --port "$port" --deadline 20 --json
[ "$(figure fused)" = 0 ] || die "nobody was there"
[ "$(figure accuracy)" = "$(figure local_accuracy)" ] || die "without a server the exit's answer counts"

# -- what needs symbols or a reference network says so
for what in "curves $tmp/m/model.safetensors --data $tmp/set" "bench codec $tmp/m/model.safetensors" \
    "eval $tmp/m/model.safetensors --packets 4" "explain $tmp/m/model.safetensors --output $tmp/e.png" \
    "bench train-step --preset tiny-spinn --steps 1"; do
    # shellcheck disable=SC2086
    refused 1 "one of the system spinn has none" $what
done

# -- an exit of its own layers
run 0 train --preset tiny-spinn --out "$tmp/branch" --threads 1 --no-plots --set "model.local=mb:c6:e2 conv:c8"
run 0 export "$tmp/branch/model.safetensors" --output "$tmp/branch.agn"
run 0 info "$tmp/branch.agn"
out_has "6 rows of 36 bytes are sent, values of 8 bits"
