#!/bin/sh
# The system local-only as a user meets it: trained, resumed, averaged and chosen by validation images, evaluated. It has
# no Remote NN, so that there is nothing to serve, and what needs one says so. A split model with a Local NN of blocks
# beside it goes all of training's ways, too.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
cat >"$tmp/presets/tiny-local-only.ini" <<'END'
base = tiny
[model]
system = local-only
local = conv:c8:s2 dw mb:c8:e2 conv:c12:k1
[joint]
rate = 0.05
END

# -- what it is
run 0 info --preset tiny-local-only
out_has "system         local-only: the device classifies the image by itself"
out_has "local (device): conv:c8:s2 dw mb:c8:e2 conv:c12:k1"
out_has "local.2.depthwise"
! grep -q "(server)\|feature map" "$tmp/out" || die "local-only has nothing on a server"
run 0 info --preset tiny-local-only --json
out_has '"sent_channels": 0'
run 0 info --preset tiny-local-only --code
refused 1 "model.local is missing" info --preset tiny-local-only --set model.local=
refused 1 "model.local, block 'fused:c8'" info --preset tiny-local-only --set "model.local=fused:c8"
refused 1 "block 'conv:c8:a1': a device has no activation but ReLU6" info --preset tiny --set "model.local=conv:c8:a1"

# -- trained; at the end it goes on with more epochs
run 0 train --preset tiny-local-only --out "$tmp/m" --threads 1 --no-plots --set joint.epochs=2
run 0 train --preset tiny-local-only --out "$tmp/m" --threads 1 --resume
out_has "  local_only_accuracy"
for figure in nan remote_only skewness centroids; do
    ! grep -q "$figure" "$tmp/out" || die "$figure: a figure of what is not there"
done
[ -s "$tmp/m/training.png" ] || die "no plot of the training"
refused 1 "the system local-only has no reference network" train --preset tiny-local-only --out "$tmp/n" \
    --reference "$tmp/m/reference.safetensors" --no-plots
run 0 train --preset tiny-local-only --out "$tmp/averaged" --threads 1 --no-plots --set train.ema=0.9 \
    --set data.validation=0.25 --set train.choose=best --set train.optimizer=adam --set joint.rate=0.01 \
    --set train.label_smoothing=0.1 --set train.clip=5

# -- evaluated
run 0 eval "$tmp/m/model.safetensors" --json --mistakes "$tmp/mistakes" --confusion "$tmp/confusion.csv"
holds "$(figure float_accuracy) > 0.5"
[ "$(figure float_accuracy)" = "$(figure local_only_accuracy)" ] || die "the device alone answers"
[ "$(figure alpha)" = 1.0 ] || die "alpha is $(figure alpha)"
for key in remote_only_accuracy skewness_mean level_share channel_importance; do
    out_has "\"$key\": null"
done

# -- what needs a part that it has not says so
model=$tmp/m/model.safetensors
for what in "serve $model --port 0" "curves $model --data $tmp/set" "bench codec $model" "eval $model --packets 4" \
    "eval $model --int8" "explain $model --output $tmp/e.png" "bench forward --preset tiny-local-only" \
    "bench train-step --preset tiny-local-only --steps 1"; do
    # shellcheck disable=SC2086
    refused 1 "one of the system local-only has none" $what
done
run 1 demo --preset tiny-local-only --out "$tmp/d"
[ ! -e "$tmp/d" ] || die "a demo that cannot be was begun"

# -- a split model whose Local NN has blocks; it shares its reference network with one that has none
run 0 train --preset tiny --out "$tmp/split" --no-plots --threads 1 --set "model.local=conv:c8 mb:c8:e2" \
    --set joint.epochs=2
run 0 train --preset tiny --out "$tmp/split" --no-plots --threads 1 --set "model.local=conv:c8 mb:c8:e2" --resume
refused 1 "tensor 'local." train --preset tiny --out "$tmp/split" --no-plots --threads 1 --resume \
    --set model.local=conv:c6
run 0 train --preset tiny --out "$tmp/pooled" --no-plots --threads 1 --reference "$tmp/split/reference.safetensors"
run 0 eval "$tmp/split/model.safetensors" --json --packets 2
holds "$(figure local_only_accuracy) > 0.5"
run 0 info "$tmp/split/model.safetensors"
out_has "local (device): conv:c8 mb:c8:e2"
out_has "local.1.project"
