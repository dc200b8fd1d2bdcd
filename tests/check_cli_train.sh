#!/bin/sh
# train, eval, explain and info as a user meets them, on a data set made here: four classes, each with another
# bright quarter. One thread: with two, a busy machine makes steps this small many times slower.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
sed -i '/\[joint\]/,$s/^epochs = .*/epochs = 6/' "$tmp/presets/tiny.ini"
no_leftovers() { [ -z "$(find "$1" -name '*.tmp')" ] || die "temporary files are left in $1"; }

# -- data, info: a preset
run 0 data --preset tiny
out_has "256 of 12x12x1"
run 0 data --preset tiny --split test --limit 10 --json
out_has '"images": 10,'
refused 2 "--set goes with --preset" data --path x --set data.width=9
run 0 info --preset tiny
out_has "6x6x8: the first 3 channels stay, 5 are sent"
out_has "extractor.1"
run 0 info --preset tiny --set model.local_channels=4 --json
out_has '"local_channels": 4,'
# conv 6x6x4: 36*4*9 = 1296; conv 6x6x8: 36*8*36 = 10368
out_has '"macs": 11664,'
run 0 info --preset tiny --set model.remote=mobilenetv2-tiny --set model.remote_width=0.5
out_has "remote (server): conv:c24:s2 mb:c24:e4 mb:c48:e4:s2 conv:c128:k1"
run 0 info --preset tiny --set model.extractor=separable:s2 --json
out_has '"blocks": "dw:s2:l1 conv:c4:k1 dw:l1 conv:c24:k1"'
refused 1 "'mobilenetv4': its kind is none of" info --preset tiny --set model.remote=mobilenetv4
run 0 info --preset tiny --set model.extractor=conv24:s6 --set model.grid=1
out_has "device         none can run this: 'extractor.0' in model.extractor has a 3x3 kernel and stride 6"
run 0 info --preset-keys
out_has "local_channels"
refused 2 "give one of" info
refused 2 "give one of" info x --preset tiny
refused 1 "there are: tiny" info --preset tinny

# -- train: refused before anything is written
refused 1 "there are: tiny" train --preset tinny --out "$tmp/no"
refused 1 "no setting 'joint.roh'" train --preset tiny --out "$tmp/no" --set joint.roh=1
refused 1 "SECTION.KEY=VALUE" train --preset tiny --out "$tmp/no" --set nonsense
for rho in 0 1 -0.5 1.5 nan x; do
    refused 1 "joint.rho" train --preset tiny --out "$tmp/no" --set joint.rho=$rho
done
for k in 8 9 254; do
    refused 1 "model.extractor makes a 6x6x8 map: of its 8 channels" train --preset tiny --out "$tmp/no" --set model.local_channels=$k
done
refused 1 "model.local_channels" train --preset tiny --out "$tmp/no" --set model.local_channels=0
refused 1 "joint.method" train --preset tiny --out "$tmp/no" --set joint.method=magic
for points in 0 129 -1 2.5 x; do
    refused 1 "joint.points = '$points': expected a whole number from 1 to 128" \
        train --preset tiny --out "$tmp/no" --set joint.points=$points
done
refused 1 "ig-gauss-legendre take 1" train --preset tiny --out "$tmp/no" --set joint.points=1
refused 1 "block 'cnv:c8'" train --preset tiny --out "$tmp/no" --set model.remote=cnv:c8
refused 1 "data.classes = 3, but the data set in $tmp/set has 4 classes (train image 3 has label 3): leave data.classes out" \
    train --preset tiny --out "$tmp/no" --set data.classes=3
refused 1 "data.classes = 1: expected 2 to 1000, or 0" train --preset tiny --out "$tmp/no" --set data.classes=1
refused 1 "data.classes is not set" info --preset tiny --set data.classes=0
run 0 train --preset tiny --out "$tmp/counted" --set data.classes=0 --set train.batch=257 --set reference.epochs=2 --set joint.epochs=1 --no-plots
err_has "train.batch = 256 instead of 257: there are only 256 training images"
run 0 info "$tmp/counted/model.safetensors" --json
out_has '"classes"'
rm -r "$tmp/counted"
refused 1 "$tmp/nowhere" train --preset tiny --out "$tmp/no" --data "$tmp/nowhere"
cp -r "$tmp/set" "$tmp/one"
labels=train-labels-idx1-ubyte
{ head -c 8 "$tmp/set/$labels" && head -c 256 /dev/zero; } >"$tmp/one/$labels"
refused 1 "all 256 training images in $tmp/one are of one class" train --preset tiny --out "$tmp/no" --data "$tmp/one"
{ head -c 25 "$tmp/set/$labels" && printf '\310' && tail -c +27 "$tmp/set/$labels"; } >"$tmp/one/$labels"
refused 1 "train image 17 has label 200" train --preset tiny --out "$tmp/no" --data "$tmp/one"
refused 1 "12x12" train --preset tiny --out "$tmp/no" --set data.width=16
refused 2 "--preset NAME is missing" train --out "$tmp/no"
refused 2 "exclude each other" train --preset tiny --out "$tmp/no" --resume --force
refused 1 "a file has that name" train --preset tiny --out "$tmp/set/t10k-labels-idx1-ubyte"
mkdir -p "$tmp/blocked/training.png"
refused 1 "training.png: it is a folder" train --preset tiny --out "$tmp/blocked"
[ "$(ls "$tmp/blocked")" = training.png ] || die "a refused training wrote files"
mkdir "$tmp/empty"
code=0
PATH="$tmp/empty" "$bin" train --preset tiny --out "$tmp/no" >"$tmp/out" 2>"$tmp/err" || code=$?
[ "$code" -eq 1 ] || die "without gnuplot: exit code $code"
err_has "gnuplot-nox"
[ ! -e "$tmp/no" ] || die "without gnuplot: left something behind"

# -- train
dir=$tmp/trained
run 0 train --preset tiny --out "$dir" --threads 1 --json
err_has "joint  epoch 6/6"
err_has "accuracy, fused"
cp "$tmp/out" "$tmp/train.json"
cmp -s "$tmp/out" "$dir/train.json" || {
    # the two differ in nothing but the final line break
    echo >>"$dir/train.json"
    cmp -s "$tmp/out" "$dir/train.json" || die "train.json is not what --json prints"
}
for file in model.safetensors reference.safetensors checkpoint.safetensors metrics.jsonl; do
    [ -s "$dir/$file" ] || die "$file is missing"
done
is_png "$dir/importance.png"
is_png "$dir/training.png"
no_leftovers "$dir"
accuracy=$(figure float_accuracy "$tmp/train.json")
awk -v a="$accuracy" 'BEGIN { exit !(a >= 0.9 && a <= 1) }' || die "accuracy $accuracy: four quarters are easily told apart"
grep -q '"phase": "joint", .*"images": 2560,.*"skewness"' "$dir/metrics.jsonl" || die "metrics.jsonl ends early"

# -- eval agrees with train
run 0 eval "$dir/model.safetensors" --json --threads 1
cp "$tmp/out" "$tmp/eval.json"
for name in float_accuracy local_only_accuracy reference_valid skewness_mean disorder_rate alpha; do
    a=$(figure $name "$tmp/train.json")
    b=$(figure $name "$tmp/eval.json")
    [ -n "$a" ] && [ "$a" = "$b" ] || die "$name: train says '$a', eval '$b'"
done
grep -q '"confusion": \[' "$tmp/out" || die "eval --json lacks the confusion matrix"
[ "$(grep -c '"accuracy_local": ' "$tmp/out")" -eq 4 ] || die "eval --json: not four classes"
run 0 eval "$dir/model.safetensors" --confusion "$tmp/confusion.csv"
out_has "confusion: rows are true classes"
[ "$(wc -l <"$tmp/confusion.csv")" -eq 5 ] || die "confusion.csv: not a head and four classes"
awk -F, 'NR > 1 { if (NF != 5) exit 1; for (i = 2; i <= 5; i++) sum += $i }
         END { exit sum != '"$(figure test_images "$tmp/eval.json")"' }' "$tmp/confusion.csv" ||
    die "confusion.csv does not count each image once"
run 0 eval "$dir/model.safetensors" --confusion "$tmp/confusion.png" --confusion "$tmp/again.csv"
is_png "$tmp/confusion.png"
cmp -s "$tmp/confusion.csv" "$tmp/again.csv" || die "--confusion twice: another table"
refused 1 "$tmp/nowhere/x.png" eval "$dir/model.safetensors" --confusion "$tmp/nowhere/x.png"

# -- the worst mistakes
run 0 eval "$dir/model.safetensors" --mistakes "$tmp/mistakes" --mistakes-count 3
is_png "$tmp/mistakes/mistakes.png"
no_leftovers "$tmp/mistakes"
wrong=$(awk -F, 'NR > 1 { for (i = 2; i <= 5; i++) if (i != NR) sum += $i } END { print sum + 0 }' "$tmp/confusion.csv")
out_has "mistakes: $wrong of 64 images"
lines=$((wrong < 3 ? wrong : 3))
[ "$(wc -l <"$tmp/mistakes/mistakes.csv")" -eq $((lines + 1)) ] || die "mistakes.csv: not a head and $lines mistakes"
awk -F, 'NR > 1 { if (NF != 6 || $2 != "" || $3 == $4 || $5 < 0 || $6 < 0.25 || $6 > 1) exit 1 }
         NR > 2 && $5 > last { exit 1 } { last = $5 }' "$tmp/mistakes/mistakes.csv" || die "mistakes.csv: wrong columns or order"
run 0 eval "$dir/model.safetensors" --mistakes "$tmp/mistakes" --json
grep -q '"mistakes": \[' "$tmp/out" || die "eval --mistakes --json lacks the mistakes"
[ "$(grep -c '"margin": ' "$tmp/out")" -eq $((wrong < 25 ? wrong : 25)) ] || die "eval --json: not all mistakes"
run 2 eval "$dir/model.safetensors" --mistakes "$tmp/mistakes" --mistakes-count 0
run 2 eval "$dir/model.safetensors" --mistakes "$tmp/mistakes" --mistakes-count 201
: >"$tmp/plain"
refused 1 "$tmp/plain" eval "$dir/model.safetensors" --mistakes "$tmp/plain/x"
run 0 eval "$dir/checkpoint.safetensors" --split train --limit 20 --csv "$tmp/figures.csv"
grep -q '^  test_images  *20  ' "$tmp/out" || die "eval --limit 20: not 20 images"
[ "$(head -n 2 "$tmp/figures.csv" | tail -n 1)" = "test_images,,20,,,images evaluated" ] ||
    die "eval --csv: another first figure"
awk -F, '/^float_accuracy,/ { found = $3 > 0 && $3 <= 1 } END { exit !found }' "$tmp/figures.csv" ||
    die "eval --csv lacks float_accuracy"
run 0 eval "$dir/model.safetensors" --packets 3 --seed 2
[ "$(grep -c '^ *[0-9]* % .* % .* %$' "$tmp/out")" -eq 9 ] || die "eval --packets: not nine losses"
out_has "(3 packets a frame; local alone "
run 0 eval "$dir/model.safetensors" --packets 3 --json
grep -q '"packet_loss": \[' "$tmp/out" || die "eval --packets --json lacks packet_loss"
run 2 eval "$dir/model.safetensors" --packets 256
run 0 bench codec "$dir/model.safetensors" --limit 20 --save "$tmp/taught.safetensors"
run 0 eval "$tmp/taught.safetensors" --packets 3
rm "$tmp/taught.safetensors"
refused 1 "$tmp/nowhere" eval "$tmp/nowhere"
refused 1 "$tmp/nowhere" eval "$dir/model.safetensors" --data "$tmp/nowhere"
refused 1 "labels-idx1" eval "$tmp/set/t10k-labels-idx1-ubyte"

# -- export without a training
run 0 export --preset tiny --output "$tmp/untrained.agn"
out_has "1716 bytes of flash"
run 0 info "$tmp/untrained.agn"
out_has "6x6x8: the first 3 channels stay"
out_has "bytes on a device (compiled with -O2)"
run 0 export --preset tiny --set model.grid=1 --codec raw3 --output "$tmp/untrained.agn" --json
out_has '"calibration_images": 16,'
[ "$(grep -c '"target": ' "$tmp/out")" -eq 8 ] || die "export --json: not eight targets"
run 0 export --preset tiny --output "$tmp/untrained.agn" --target cortex-m0plus --ram 16K --flash 1M --json
[ "$(grep -c '"target": ' "$tmp/out")" -eq 1 ] || die "export --target: not one target"
out_has '"target": "cortex-m0plus",'
run 0 export --preset tiny --output "$tmp/untrained.agn" --optimise size
out_has "compiled with -Os"
refused 1 "does not fit on a cortex-m7: it takes" export --preset tiny --ram 1K --output "$tmp/no" --c-source "$tmp/no.c"
refused 1 "1716), " export --preset tiny --flash 2K --target riscv32 --output "$tmp/no"
[ ! -e "$tmp/no" ] && [ ! -e "$tmp/no.c" ] || die "a refused export wrote files"
refused 2 "--ram 1Q: expected bytes" export --preset tiny --ram 1Q --output "$tmp/no"
refused 2 "there are: cortex-m0plus" export --preset tiny --target z80 --output "$tmp/no"
refused 2 "give either" export
refused 2 "give either" export --preset tiny "$dir/model.safetensors"
refused 2 "--set goes with --preset" export "$dir/model.safetensors" --set model.grid=1
refused 1 "there are: tiny" export --preset tinny --output "$tmp/no"

# -- explain
run 0 explain "$dir/model.safetensors" --images 0,5,63 --points 4 -o "$tmp/it's \$(x) a.png" --json
is_png "$tmp/it's \$(x) a.png"
out_has '"image": 63,'
[ "$(grep -c '"label":' "$tmp/out")" -eq 3 ] || die "explain: not three images"
out_has '"reference_valid": true,'
run 0 explain "$dir/model.safetensors" --count 3 --completeness --json --threads 1 -o "$tmp/b.png"
off=$(grep -A3 '"points": 128' "$tmp/out" | sed -n 's/.*"ig-gauss-legendre": \([0-9.e-]*\).*/\1/p')
awk -v off="$off" 'BEGIN { exit !(off != "" && off < 0.05) }' || die "128 points are off by '$off'"
run 0 explain "$dir/model.safetensors" --count 3 --completeness --threads 1 -o "$tmp/b.png"
out_has "l(F) - l(0)"
out_has "the reference is right about"
out_has "points        ig-trapezoid"
run 0 explain "$dir/model.safetensors" --count 2 --method gradient-x-input -o "$tmp/b.png"
out_has "wrote $tmp/b.png"
refused 1 "there is no image 64" explain "$dir/model.safetensors" --images 64 -o "$tmp/no"
refused 1 "trapezoidal rule" explain "$dir/model.safetensors" --points 1 -o "$tmp/no"
refused 1 "cannot write" explain "$dir/model.safetensors" -o "$tmp/nowhere/a.png"
refused 2 "--points 0: expected a whole number from 1 to 128" explain "$dir/model.safetensors" --points 0
for images in "," "1," "1,,2" x -1 1x " 1" 99999999999999999999; do
    refused 2 "expected numbers with commas" explain "$dir/model.safetensors" --images "$images" -o "$tmp/no"
done

# -- info: by content, not by name
cp "$dir/model.safetensors" "$tmp/model.agn"
run 0 info "$tmp/model.agn"
out_has "trained model, preset tiny"
out_has "centroids"
run 0 info "$dir/model.safetensors" --json
out_has '"kind": "model",'
run 0 export "$dir/model.safetensors" --output "$tmp/device.safetensors"
run 0 info "$tmp/device.safetensors"
out_has "device model, version 3"
out_has "6x6x8"
run 0 info "$tmp/device.safetensors" --json
out_has '"kind": "device",'
run 0 info "$dir/reference.safetensors"
out_has "a reference network with its stem"
run 0 info "$dir/reference.safetensors" --json
out_has '"kind": "reference",'
head -c 200 "$tmp/device.safetensors" >"$tmp/cut"
refused 1 "$tmp/cut" info "$tmp/cut"
head -c 300 "$dir/model.safetensors" >"$tmp/cut"
refused 1 "$tmp/cut" info "$tmp/cut"
: >"$tmp/cut"
refused 1 "is no model" info "$tmp/cut"
refused 1 "is no model" info "$tmp/set/train-images-idx3-ubyte"
refused 1 "cannot open" info "$tmp/nowhere"
refused 1 "$tmp/set" info "$tmp/set"

# -- Ctrl-C, then --resume: the same model as without the interruption
set -- train --preset tiny --set reference.epochs=300 --set joint.epochs=4 --threads 1 --no-plots
run 0 "$@" --out "$tmp/whole"
out_has "metrics.jsonl"
[ ! -e "$tmp/whole/training.png" ] || die "--no-plots drew a plot"
"$bin" "$@" --out "$tmp/stopped" >"$tmp/out" 2>"$tmp/err" &
child=$!
wait_for 60 test -s "$tmp/stopped/metrics.jsonl"
signal INT "$child"
await "$child" 30 "the training"
[ "$code" -eq 130 ] || die "Ctrl-C: exit code $code, expected 130"
err_has "the same command with --resume continues from $tmp/stopped/checkpoint.safetensors"
[ ! -e "$tmp/stopped/model.safetensors" ] || die "an interrupted training left a model"
no_leftovers "$tmp/stopped"
refused 1 "--resume continues it, --force starts afresh" "$@" --out "$tmp/stopped"
refused 1 "other settings" "$@" --out "$tmp/stopped" --resume --seed 5
mv "$tmp/set" "$tmp/kept"
mkdir "$tmp/set"
make_idx "$tmp/set" train 240
make_idx "$tmp/set" t10k 64
refused 1 "made with 256 training images, but here are 240" "$@" --out "$tmp/stopped" --resume
rm -r "$tmp/set"
mv "$tmp/kept" "$tmp/set"
cp "$tmp/stopped/checkpoint.safetensors" "$tmp/whole.checkpoint"
head -c -4 "$tmp/whole.checkpoint" >"$tmp/stopped/checkpoint.safetensors"
refused 1 "start afresh, without --resume" "$@" --out "$tmp/stopped" --resume
cp "$tmp/whole.checkpoint" "$tmp/stopped/checkpoint.safetensors"
refused 1 "reference.epochs = 0, but checkpoint" "$@" --set reference.epochs=0 --out "$tmp/stopped" --resume
run 0 "$@" --out "$tmp/stopped" --resume
cmp "$tmp/whole/model.safetensors" "$tmp/stopped/model.safetensors" || die "the resumed training made another model"
mv "$tmp/set" "$tmp/moved"
run 0 "$@" --out "$tmp/stopped" --resume --data "$tmp/moved/" --set joint.epochs=5
err_has "joint.epochs = 5 instead of 4: the learning rate now falls over 5 epochs, and at epoch 4.00 goes on with"
mv "$tmp/moved" "$tmp/set"
refused 1 "there is no checkpoint $tmp/no/" "$@" --out "$tmp/no" --resume
echo "training commands: all as expected"
