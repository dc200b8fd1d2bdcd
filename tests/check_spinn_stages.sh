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
