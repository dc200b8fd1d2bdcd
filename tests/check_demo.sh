#!/bin/sh
# `agilenn demo` as a user meets it: on Fashion-MNIST where it is installed, cut short, else on a data set made
# here; what it writes, and what it refuses.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"

# declines TEXT ARGUMENT...: as refused, but after the headings of what went well
declines() {
    text=$1
    shift
    run 1 demo "$@"
    one_line
    err_has "$text"
    [ ! -e "$tmp/no" ] || die "$*: left something behind"
}

# -- what it refuses, before anything is trained or written
: >"$tmp/plain"
declines "cannot make folder $tmp/plain" --preset tiny --out "$tmp/plain/demo"
declines "no preset is called 'tinny'; there are: tiny" --preset tinny --out "$tmp/no"
declines "no setting 'joint.roh'" --preset tiny --set joint.roh=1 --out "$tmp/no"
declines "model.local_channels = 8" --preset tiny --set model.local_channels=8 --out "$tmp/no"
declines "model.local_channels = 9" --preset tiny --set model.local_channels=9 --out "$tmp/no"
declines "joint.rho = '1.5'" --preset tiny --set joint.rho=1.5 --out "$tmp/no"
declines "joint.rho = '0'" --preset tiny --set joint.rho=0 --out "$tmp/no"
declines "4 classes" --preset tiny --set data.classes=3 --out "$tmp/no"
declines "12x12" --preset tiny --set data.width=16 --out "$tmp/no"
declines "no data set in $tmp/nowhere" --preset tiny --data "$tmp/nowhere" --out "$tmp/no"
declines "data.path" --preset tiny --set data.path= --out "$tmp/no"
declines "apt-get install dataset-fashion-mnist" --preset "$root/presets/fashion.ini" \
    --data "$tmp/fashion-mnist" --out "$tmp/no"
run 2 demo --preset tiny --kill-images 1 --out "$tmp/no"

# -- the whole of it
if [ -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]; then
    set -- --preset "$root/presets/fashion.ini" --set data.train_limit=1500 --set data.test_limit=400 \
        --set reference.epochs=1 --set joint.epochs=1
    name=fashion threads=2 train_images=1350 floor=0.3
else
    set -- --preset tiny
    name=tiny threads=1 train_images=256 floor=0.5
fi
out=$tmp/demo/first
run 0 demo "$@" --threads $threads --images 300 --kill-images 100 --deadline 2000 --out "$out"
for heading in "1/5 data" "2/5 training" "3/5 int8 device model" "4/5 device, socket, server" "server killed half-way"; do
    grep -qF "$heading" "$tmp/out" || die "the heading '$heading' is missing"
done
summary=$out/summary.json
for key in dataset train_images test_images float_accuracy device_accuracy local_only_accuracy \
    server_killed_accuracy predictions_lost alpha rho skewness_mean disorder_rate reference_valid centroids_used \
    bytes_raw bytes_lzw_mean bytes_coded_mean device_ram_bytes device_flash_bytes train_images_per_s wall_seconds; do
    value=$(value "$key" "$summary")
    [ -n "$value" ] && [ "$value" != null ] || die "summary.json lacks $key"
    grep -qF "| $key | " "$out/report.md" || die "report.md lacks $key"
    grep -q "^  $key  *[^ ]" "$tmp/out" || die "the table lacks $key"
done
[ "$(value dataset "$summary")" = "$name" ] || die "dataset is $(value dataset "$summary")"
[ "$(figure train_images "$summary")" = "$train_images" ] || die "train_images is wrong"
[ "$(figure test_images "$summary")" = 300 ] || die "test_images is wrong"
[ "$(figure predictions_lost "$summary")" = 0 ] || die "predictions were lost"
[ "$(figure device_flash_bytes "$summary")" = "$(wc -c <"$out/model.agn")" ] || die "device_flash_bytes is wrong"
for key in float_accuracy device_accuracy local_only_accuracy server_killed_accuracy reference_valid; do
    holds "$(figure $key "$summary") >= $floor && $(figure $key "$summary") <= 1"
done
for key in alpha rho skewness_mean disorder_rate; do
    holds "$(figure $key "$summary") >= 0 && $(figure $key "$summary") <= 1"
done
holds "$(figure device_accuracy "$summary") - $(figure float_accuracy "$summary") < 0.12"
holds "$(figure float_accuracy "$summary") - $(figure device_accuracy "$summary") < 0.12"
holds "$(figure bytes_coded_mean "$summary") > 0 && $(figure bytes_coded_mean "$summary") <= $(figure bytes_lzw_mean "$summary")"
holds "$(figure bytes_lzw_mean "$summary") > 0 && $(figure bytes_lzw_mean "$summary") <= $(figure bytes_raw "$summary")"
holds "$(figure fused_share "$summary") > 0.9 * $(figure sent_share "$summary")"
holds "$(figure fused_share "$summary") <= $(figure sent_share "$summary")"
holds "$(figure sent_share "$summary") > 0 && $(figure sent_share "$summary") <= 1"
holds "$(figure bytes_frame_mean "$summary") <= $(figure bytes_payload_mean "$summary")"
if [ "$name" = fashion ]; then
    out_has "held-out images"
    holds "$(figure sent_share "$summary") < 1"
else
    holds "$(figure sent_share "$summary") == 1"
fi
holds "$(figure train_images_per_s "$summary") > 0 && $(figure wall_seconds "$summary") > 0"
grep -qF "SIGKILL before image 51" "$out/report.md" || die "report.md does not tell of the server's death"
grep -qF "nobody listens" "$out/report.md" || die "report.md does not tell how frames went without a server"
for picture in importance training; do
    is_png "$out/$picture.png"
    [ "$(wc -c <"$out/$picture.png")" -gt 2000 ] || die "$picture.png is empty"
    grep -qF "($picture.png)" "$out/report.md" || die "report.md does not show $picture.png"
done
[ -z "$(find "$out" -name '*.tmp*')" ] || die "temporary files are left"
[ ! -s "$out/serve.log" ] || die "the server complained: $(cat "$out/serve.log")"

# -- its files are of use: the same device model comes out again, and it still runs
decision=
[ "$name" = tiny ] || decision="--may-lose 0.002"
# shellcheck disable=SC2086 # two words on purpose
run 0 export "$out/model.safetensors" --output "$tmp/again.agn" $decision
[ "$(wc -c <"$tmp/again.agn")" = "$(wc -c <"$out/model.agn")" ] || die "a second export has another size"
run 0 run "$out/model.agn" "$@" --port 9 --images 50 --json
[ "$(figure predictions_lost "$tmp/out")" = 0 ] || die "predictions were lost"

# -- once more over it with --json, on the small set, in a terminal-free pipe
run 0 demo --preset tiny --threads 1 --images 70 --kill-images 10 --out "$out" --json
cmp -s "$tmp/out" "$summary" || {
    [ "$(figure test_images "$tmp/out")" = 70 ] && [ "$(value dataset "$tmp/out")" = tiny ]
} || die "--json does not print the summary"
[ "$(head -c 1 "$tmp/out")" = "{" ] || die "--json prints something before the object"

# -- killed in mid-training, the demo ends at once and says how
"$bin" demo --preset tiny --threads 1 --set joint.epochs=10000 --out "$tmp/demo/second" >"$tmp/out" 2>"$tmp/err" &
demo=$!
wait_for 30 test -s "$tmp/demo/second/metrics.jsonl"
signal TERM "$demo"
await "$demo" 30 "the demo"
[ "$code" -eq 130 ] || die "exit code $code after SIGTERM, expected 130"
grep -q "interrupted" "$tmp/err" || die "the interruption is not told"
[ ! -e "$tmp/demo/second/summary.json" ] || die "an interrupted demo wrote a summary"
echo "demo: all as expected"
