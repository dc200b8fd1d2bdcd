#!/bin/sh
# Writes the first inputs of the fuzz targets model, preset, graph and report to fuzz/corpus/: small models and their
# checkpoints trained here, presets, networks. scripts/fuzz.sh --keep adds to them.
# usage: fuzz/make_seeds.sh [AGILENN]; AGILENN is the command's path (build/agilenn)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$(realpath "${1:-$root/build/agilenn}")
corpus=$root/fuzz/corpus
work=$(mktemp -d)
mkdir -p "$corpus/model" "$corpus/preset" "$corpus/graph" "$corpus/report"

AGN_BIN=$bin AGN_TEST_TMP=$work AGN_SOURCE_DIR=$root
# shellcheck source=tests/support/tiny_set.sh
. "$root/tests/support/tiny_set.sh"
trap 'rm -rf "$work"' EXIT
cd "$work" # presets and models name their data set by a path that is the same everywhere
tiny_set .
AGILENN_PRESETS=$work/presets
# model NAME ARGUMENT...: a model and the checkpoint it came from, as small as they get
model() {
    name=$1
    shift
    "$bin" train --preset tiny --threads 1 --no-plots --out "$name" --set model.extractor=conv:c3:s4 \
        --set model.local_channels=1 --set model.grid=1 --set model.remote=conv:c2 --set model.reference=conv:c2 \
        --set reference.epochs=1 --set joint.epochs=1 "$@" >/dev/null 2>&1
    cp "$name/model.safetensors" "$corpus/model/$name"
    cp "$name/checkpoint.safetensors" "$corpus/model/$name-checkpoint"
    cp "$name/reference.safetensors" "$corpus/model/$name-reference"
}
model plain
model averaged --set train.ema=0.9 --set model.logits_bn=1
model squeezing --set model.remote=mbse:c2:e1 --set model.codec=huffman

for preset in fashion cifar10-paper; do
    cp "$root/presets/$preset.ini" "$corpus/preset/$preset"
done
printf '[data]\nclasses = 10\n[joint]\nrho = 0.75\n\000model.remote=mb:c8 pool:g1\njoint.rho=2\ntrain.seed=7\n' >"$corpus/preset/settings"
printf '[model]\nremote = conv:c8\n  mb:c16:n2\n  ; a remark\nlocal_channels = 3\n' >"$corpus/preset/lines"
printf '[data]\npath = ~/$HOME/x\nclasses = 4x\n' >"$corpus/preset/wrong"

# network NAME TEXT: on 8x8x3, at width 1
network() { printf '\007\007\002\000%s' "$2" >"$corpus/graph/$1"; }
network blocks 'conv:c16:k3:s2 dw:l1 mb:c32:e4:n2 mbse:c8:a1 fused:c8:e2:n2 pool:g2'
network decoder 'conv:c8:s2 up conv:c8 attention up:s3 conv:c3:a2'
network wrong 'conv:c16:k3:k3 dwx:q1'
for name in mobilenetv2-tiny efficientnetv2-s separable:s3; do
    network "${name%:*}" "$name"
done
printf '\037\037\000\003conv:c8 mb:c12:n3 conv:c40:k1' >"$corpus/graph/scaled"

printf '{"predictions": 10, "correct": 9, "fallbacks": 3, "paused": 1}' >"$corpus/report/all"
printf '{"predictions":1000000000,"correct":0,"fallbacks":0}' >"$corpus/report/most"
printf '{"predictions": 1, "correct": 2, "fallbacks": 0}' >"$corpus/report/impossible"
printf '{"predictions": 1.5, "correct": null, "fallbacks": "\\u0000", "more": []}' >"$corpus/report/wrong"
