#!/bin/sh
# A pre-trained reference network from a file: in place of pre-training, and imitated by another extractor.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"

# train FOLDER ARGUMENT...
train() {
    dir=$1
    shift
    "$bin" train --preset tiny --threads 1 --json --out "$tmp/$dir" "$@" >"$tmp/$dir.json" 2>"$tmp/err" ||
        die "train $*"
}

# at_least LEAST NAME FILE
at_least() {
    value=$(figure "$2" "$3")
    awk -v v="$value" -v least="$1" 'BEGIN { exit !(v >= least) }' || die "$2 is '$value' in $3, expected $1 or more"
}
# rejects TEXT ARGUMENT...
rejects() {
    text=$1
    shift
    refused 1 "$text" train --preset tiny --threads 1 --no-plots --out "$tmp/no" "$@"
}
phases() { sed -n 's/^{"phase": "\([a-z]*\)".*/\1/p' "$tmp/$1/metrics.jsonl" | sort -u | tr '\n' ' '; }

tiny_set "$tmp"
given=$tmp/first/reference.safetensors

train first
[ -s "$given" ] || die "no reference.safetensors"

# in place of pre-training: the very same model, without the phase
train second --reference "$given"
cmp -s "$tmp/first/model.safetensors" "$tmp/second/model.safetensors" || die "a given reference makes another model"
[ "$(phases first)" = "joint reference " ] || die "phases of a whole training: $(phases first)"
[ "$(phases second)" = "joint " ] || die "phases with a given reference: $(phases second)"
a=$(sed -n 's/.*"images": \([0-9]*\).*/\1/p' "$tmp/first/metrics.jsonl" | tail -n 1)
b=$(sed -n 's/.*"images": \([0-9]*\).*/\1/p' "$tmp/second/metrics.jsonl" | tail -n 1)
[ "$a" = "$b" ] || die "the given reference's training does not count: $b images instead of $a"

# joint settings are free, and k, and the remote network
train third --reference "$given" --set joint.lambda=1 --set model.local_channels=2 --set model.remote=conv:c16:s2
[ "$(figure local_channels "$tmp/third.json")" = 2 ] || die "k = 2 was not taken"

# imitation: a smaller extractor learns to stand in for the stem; the reference stays as it was given
train fourth --reference "$given" --set model.extractor=conv:c8:s2 --set "reference.stem=conv:c4:s2 conv:c8"
[ "$(phases fourth)" = "imitation joint " ] || die "phases of an imitation: $(phases fourth)"
at_least 0.8 reference_accuracy_before "$tmp/fourth.json"
at_least 0.8 reference_valid "$tmp/fourth.json"
at_least 0.8 float_accuracy "$tmp/fourth.json"

# a chance extractor with the paper's joint training: what imitation is there against
train fifth --reference "$given" --set model.extractor=conv:c8:s2 --set "reference.stem=conv:c4:s2 conv:c8" \
    --set reference.epochs=0
awk -v chance="$(figure reference_accuracy_before "$tmp/fifth.json")" 'BEGIN { exit !(chance < 0.75) }' ||
    die "a reference is right about an extractor that never imitated it"

# channel dropout: pre-training itself makes the first channels important
train ordered --set reference.channel_dropout=0.3 --set joint.epochs=0 --set joint.selection=none
train unordered --set joint.epochs=0 --set joint.selection=none
awk -v a="$(figure skewness_before "$tmp/ordered.json")" -v b="$(figure skewness_before "$tmp/unordered.json")" \
    'BEGIN { exit !(a > b + 0.05) }' || die "channel dropout does not raise skewness"

# both kinds in one picture
"$bin" plot "$tmp/first" "given reference=$tmp/second/" "imitation=$tmp/fourth" -o "$tmp/plot.png" >"$tmp/err" 2>&1 ||
    die "plot"
is_png "$tmp/plot.png"
if "$bin" plot "$tmp/nowhere" -o "$tmp/no.png" >"$tmp/err" 2>&1 || ! grep -q "nowhere/metrics.jsonl" "$tmp/err"; then
    die "plot of a missing training"
fi

# refused
rejects "reference.stem is set" --set "reference.stem=conv:c4:s2 conv:c8"
rejects "nowhere.safetensors" --reference "$tmp/nowhere.safetensors"
rejects "'extractor.0.weight' is 4x1x3x3; this network needs 6x1x3x3" --reference "$given" \
    --set "model.extractor=conv:c6:s2 conv:c8"
rejects "'reference.1.weight' is missing" --reference "$given" --set "model.reference=conv:c8:s2 conv:c8"
rejects "reference.stem makes 6x6x9 features, but model.extractor 6x6x8" --reference "$given" \
    --set "reference.stem=conv:c9:s2"
head -c 3000 "$given" >"$tmp/short.safetensors"
rejects "short.safetensors" --reference "$tmp/short.safetensors"
