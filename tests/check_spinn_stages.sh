#!/bin/sh
# A spinn network in three stages as a user meets it: described, trained, resumed to the same bits, and evaluated at each
# of its exits and cuts.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
cat >"$tmp/presets/tiny-stages.ini" <<'EOF'
base = tiny
[model]
system = spinn
codec = lzw
extractor = conv:c4:s2 | dw conv:c6:k1 | conv:c6
local = conv:c6:k1 | |
exit_threshold = 0.6
[joint]
local = 0.3
rate = 0.05
epochs = 5
EOF

# -- what it is
run 0 info --preset tiny-stages
out_has "unless an exit's softmax reaches 0.6"
out_has "cuts           0  the image itself   12x12x1       144 bytes, 0 MACs before it"
out_has "               3  behind stage 3     6x6x6         216 bytes"
out_has "stage2 (device): dw conv:c6:k1"
out_has "exit3 (device)"
run 0 info --preset tiny-stages --json
out_has '"macs_before"'
refused 1 "model.extractor has 4 stages" info --preset tiny-stages --set "model.extractor=conv:c4:s2 | dw | dw | dw"
refused 1 "model.local describes 2 exits" info --preset tiny-stages --set "model.local=dw | dw"
refused 1 "the system agilenn has none" info --preset tiny --set "model.extractor=conv:c8:s2 | dw"

# -- trained; what was stopped and goes on ends in the same bits as what was not
run 0 train --preset tiny-stages --out "$tmp/m" --threads 1 --no-plots
mkdir "$tmp/stopped"
set -- --preset tiny-stages --threads 1 --no-plots --set joint.epochs=300 --set train.ema=0.9 --set train.optimizer=adam \
    --set joint.rate=0.01
"$bin" train "$@" --out "$tmp/stopped" >"$tmp/log" 2>&1 &
training=$!
wait_for 20 has_bytes "$tmp/stopped/checkpoint.safetensors"
signal TERM "$training"
await "$training" 20 "the training that was stopped"
[ "$code" -eq 130 ] || die "the training ended with exit code $code after SIGTERM, expected 130"
run 0 train "$@" --out "$tmp/stopped" --resume
run 0 train "$@" --out "$tmp/whole"
cmp -s "$tmp/stopped/model.safetensors" "$tmp/whole/model.safetensors" || die "a resumed training ends elsewhere"
refused 1 "stage3" train "$@" --out "$tmp/stopped" --resume --set "model.extractor=conv:c4:s2 | dw conv:c6:k1" \
    --set "model.local=conv:c6:k1 |"

# -- evaluated at each exit, threshold and cut
run 0 eval "$tmp/m/model.safetensors" --exits
out_has "exits alone    exit 1"
out_has "cut  threshold  accuracy  server    exit 1    exit 2    exit 3"
[ "$(grep -c '^  [0-3]  *[0-9n][.0-9ever]* ' "$tmp/out")" -eq 22 ] || die "not 22 rules"
run 0 eval "$tmp/m/model.safetensors" --exits --json
out_has '"exit_accuracy"'
holds "$(figure exit_share) > 0"
run 0 train --preset tiny --out "$tmp/fused" --threads 1 --no-plots
refused 1 "this needs a model with exits" eval "$tmp/fused/model.safetensors" --exits

# -- exported: one file that the device cuts where it likes
run 0 export "$tmp/m/model.safetensors" --output "$tmp/m.agn"
run 0 info "$tmp/m.agn"
out_has "cut 0          the image as it is"
out_has "cut 2          the result of layer 3 as values of 8 bits"
run 0 eval "$tmp/m/model.safetensors" --split train --exits --json
cp "$tmp/out" "$tmp/exits.json"

# -- served and run at each cut: what is expected, and no frame is lost
start "$tmp/m/model.safetensors" --port 0
for cut in 0 1 2 3; do
    run 0 run "$tmp/m.agn" --preset tiny-stages --port "$port" --deadline 5000 --cut $cut --exit 0.7 --json
    [ "$(figure "$cut")" = 64 ] || die "not all frames were cut at $cut"
    [ "$(figure fused)" = $((64 - $(figure sure))) ] || die "cut $cut: $(figure sure) left at exits, $(figure fused) were answered"
    [ "$cut" -gt 0 ] || [ "$(figure sure)" = 0 ] || die "an exit before the image"
    holds "$(figure accuracy) > 0.5"
done
run 0 run "$tmp/m.agn" --preset tiny-stages --port "$port" --deadline 5000 --cut auto --exits "$tmp/exits.json" --slower 50 --json
[ $(($(figure 0) + $(figure 1) + $(figure 2) + $(figure 3))) -eq 64 ] || die "frames without a cut"
holds "$(figure latency_ms) > 0"
stop TERM 0

# -- a server that knows nothing of cuts, and other people's files
start "$tmp/fused/model.safetensors" --port 0
refused 1 "holds another model" run "$tmp/m.agn" --preset tiny-stages --port "$port" --cut 0
stop TERM 0
refused 1 "this model has the cuts 0 to 3" run "$tmp/m.agn" --preset tiny-stages --cut 4
refused 1 "this model has the cuts 0 to 3" run "$tmp/m.agn" --preset tiny-stages --cut 1x
refused 1 "go together" run "$tmp/m.agn" --preset tiny-stages --cut auto
refused 1 "leave --exit out" run "$tmp/m.agn" --preset tiny-stages --cut auto --exits "$tmp/exits.json" --exit 0.5
for wrong in '{' '{"exits": 3}' '{"exits": {"rules": []}}' \
    '{"exits": {"rules": [{"cut": 9, "threshold": 0.5, "accuracy": 1, "left": []}]}}' \
    '{"exits": {"rules": [{"cut": 1, "threshold": 0.5, "accuracy": 1, "left": []}]}}' \
    '{"exits": {"rules": [{"cut": 0, "threshold": -1, "accuracy": 1, "left": []}]}}' \
    '{"exits": {"rules": [{"cut": 0, "threshold": 0.5, "accuracy": "x", "left": []}]}}'; do
    echo "$wrong" >"$tmp/wrong.json"
    refused 1 "$tmp/wrong.json: " run "$tmp/m.agn" --preset tiny-stages --cut auto --exits "$tmp/wrong.json"
done
echo '{"exits": {"rules": [{"cut": 0, "threshold": null, "accuracy": 1, "left": []}]}}' >"$tmp/other.json"
refused 1 "of a network with 1 cuts, the model has 4" run "$tmp/m.agn" --preset tiny-stages --cut auto --exits "$tmp/other.json"
