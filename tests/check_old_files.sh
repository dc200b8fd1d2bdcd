#!/bin/sh
# Files that the version before has made (tests/fixtures/old-files/README.md) say the same to this one, or are refused
# with a sentence that says who made them and what to do.
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
old=$root/tests/fixtures/old-files
set=$tmp/set
"$old/make_set.sh" "$set"
[ "$(cat "$set"/* | cksum)" = "4195080010 18768" ] || die "make_set.sh makes other images here"

# -- the model: what it is, and what it says
run 0 info "$old/model.safetensors"
out_has "trained model, preset old"
out_has "4x4x4: the first 2 channels stay, 2 are sent as 3-bit symbols (codec range)"
run 0 eval "$old/model.safetensors" --data "$set" --threads 1 --json
for name in test_images float_accuracy local_only_accuracy remote_only_accuracy reference_valid skewness_mean \
    disorder_rate alpha rho centroids_used; do
    then=$(figure $name "$old/eval.json")
    holds "$(figure $name) - $then < 1e-6 && $then - $(figure $name) < 1e-6"
done
run 0 info "$old/reference.safetensors"
out_has "reference.dense.weight"

# The same device file byte for byte where floats are the same, which is where fused products are; some scales
# differ in the last bit elsewhere.
run 0 export "$old/model.safetensors" --data "$set" --output "$tmp/new.agn"
[ "$(wc -c <"$tmp/new.agn")" -eq "$(wc -c <"$old/model.agn")" ] || die "export: another size"
if [ -z "${ONEDNN_MAX_CPU_ISA:-}" ] && grep -qw avx2 /proc/cpuinfo; then
    cmp "$tmp/new.agn" "$old/model.agn" || die "export: another device file"
else
    changed=$(cmp -l "$tmp/new.agn" "$old/model.agn" | wc -l)
    [ "$changed" -le 24 ] || die "export: $changed bytes are others"
fi

# -- an old device at a server of today
run 0 info "$old/model.agn"
out_has "device model, version 3, 2088 bytes, model id ce98459f"
start "$old/model.safetensors" --port 0
run 0 run "$old/model.agn" --preset "$old/old.ini" --data "$set" --port "$port" --deadline 10000 \
    --predictions "$tmp/predictions.csv"
stop TERM 0
cut -d , -f 1-6 "$tmp/predictions.csv" | cmp - "$old/predictions.csv" || die "run: other predictions"

# -- presets: what is in the model that a version makes of one is still in it
settings() { grep -ao '"preset":"[^"]*"' "$1" | head -n 1 | sed 's/\\n/\n/g'; }
run 0 train --preset "$old/old.ini" --data "$set" --set data.path=set --no-plots --threads 1 --out "$tmp/again" \
    --reference "$old/reference.safetensors"
settings "$old/model.safetensors" | grep ' =' | grep -v '^path = ' >"$tmp/settings"
[ "$(wc -l <"$tmp/settings")" -ge 60 ] || die "the old model's settings are not found"
settings "$tmp/again/model.safetensors" >"$tmp/settings.now"
while IFS= read -r setting; do
    grep -qxF -e "$setting" "$tmp/settings.now" || die "preset: '$setting' is otherwise now"
done <"$tmp/settings"
for preset in old huffman; do
    run 0 info --preset "$old/$preset.ini"
    out_has "codec range"
done
err_has "model.codec = huffman: there is no such codec any more, range takes its place"

# -- interrupted trainings go on
# resume EXIT_CODE
resume() { run "$1" train --preset "$old/huffman.ini" --data "$set" --no-plots --threads 1 --out "$tmp/going" --resume; }
for phase in reference joint; do
    rm -rf "$tmp/going"
    mkdir "$tmp/going"
    cp "$old/$phase.checkpoint" "$tmp/going/checkpoint.safetensors"
    resume 0
    err_has "codec = huffman"
    run 0 eval "$tmp/going/model.safetensors" --data "$set" --threads 1 --json
    holds "$(figure float_accuracy) > 0.8"
    run 0 export "$tmp/going/model.safetensors" --data "$set" --output "$tmp/going.agn"
    run 0 info "$tmp/going.agn"
    out_has "codec range"
done

# -- what cannot be read says why
refused 1 "huffman.agn has the codec huffman, which is no more; export its model.safetensors again" \
    info "$old/huffman.agn"
refused 1 "has the codec huffman" run "$old/huffman.agn" --preset "$old/old.ini" --data "$set"
{ head -c 4 "$old/model.agn" && printf '\2' && tail -c +6 "$old/model.agn"; } >"$tmp/other.agn"
refused 1 "is version 2 of model.agn, and this command reads version 3; export its model.safetensors again" info "$tmp/other.agn"

# changed FROM TO: $tmp/other.safetensors, with another word in it
changed() { sed "s/$1/$2/" "$old/model.safetensors" >"$tmp/other.safetensors"; }
changed agilenn-model-1 agilenn-model-2
for command in info eval export serve; do
    refused 1 "its format is 'agilenn-model-2', here it is 'agilenn-model-1'; agilenn of another version made this file" \
        $command "$tmp/other.safetensors"
    err_has "use the version that made it, or train again with this one"
done
changed validate_every unheard_of_now
refused 1 "no setting 'train.unheard_of_now'" info "$tmp/other.safetensors"
err_has "use the version that made it, or train again with this one"

for name in average.small average.remote.0.weight best.state codec.counts momentum.remote.0.weight remote.dense.bias; do
    sed "s/\"$name\"/\"${name%?}_\"/" "$old/joint.checkpoint" >"$tmp/going/checkpoint.safetensors"
    resume 1
    err_has "tensor '$name' is missing"
    err_has "training cannot go on from this file: start afresh, without --resume"
done
echo "files of the version before: all as expected"
