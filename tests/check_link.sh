#!/bin/sh
# export, serve and run as a user meets them: two small models, a server, a device, and what goes wrong between
# them. One thread for training: with two, a busy machine makes steps this small many times slower.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
start() { start_as serve "$1" --port 0 --threads 1; }

tiny_set "$tmp"
tiny_model a
tiny_model b --seed 2 --set joint.epochs=1
a=$tmp/a/model.safetensors
b=$tmp/b/model.safetensors

# -- export
run 0 export "$a" --output "$tmp/a.agn"
out_has "bytes of flash"
out_has "dense"
cp "$tmp/a.agn" "$tmp/first.agn"
run 0 export "$a" --output "$tmp/a.agn" --json
cmp -s "$tmp/a.agn" "$tmp/first.agn" || die "two exports of one model differ"
for key in file model_id flash_bytes ram_bytes raw_bytes calibration_images layers low high scale weight_sqnr_db; do
    out_has "\"$key\": "
done
is flash_bytes "$(wc -c <"$tmp/a.agn")"
is raw_bytes 68 # 5 channels of 6x6 symbols at 3 bits
is calibration_images 256
id=$(sed -n 's/.*"model_id": "\([0-9a-f]*\)".*/\1/p' "$tmp/out")
run 0 info "$tmp/a.agn"
out_has "$id"
run 0 export "$b" --output "$tmp/b.agn" --codec raw3 --images 10 --json
is calibration_images 10
out_has '"model_id": "'
! grep -qF "$id" "$tmp/out" || die "two models have one id"

: >"$tmp/plain"
mkdir "$tmp/folder"
refused 1 "cannot write $tmp/plain/x.agn" export "$a" --output "$tmp/plain/x.agn"
refused 1 "it is a folder" export "$a" --output "$tmp/folder"
refused 1 "$tmp/none.safetensors" export "$tmp/none.safetensors" --output "$tmp/no"
refused 1 "$tmp/a.agn: not a safetensors file" export "$tmp/a.agn" --output "$tmp/no"
head -c 5000 "$a" >"$tmp/short.safetensors"
refused 1 "$tmp/short.safetensors" export "$tmp/short.safetensors" --output "$tmp/no"
refused 1 "no data set in $tmp/folder" export "$a" --data "$tmp/folder" --output "$tmp/no"

# -- a device without a server
run 0 run "$tmp/a.agn" --preset tiny --port 9 --json
is images 64
is fused 0
is predictions_lost 0
local_accuracy=$(figure local_accuracy "$tmp/out")
is accuracy "$local_accuracy"
holds "$local_accuracy > 0.5"

# -- a device and its server
start "$a"
grep -qF "\"model_id\": \"$id\"" "$tmp/serve.out" || die "device and server have other ids"
run 0 run "$tmp/a.agn" --preset tiny --port "$port" --images 200 --deadline 10000 --json
for key in images predictions_lost accuracy local_accuracy fused reasons packets_mean payload_bytes_mean \
    datagram_bytes_mean coded_bytes_mean raw_bytes reply_bytes_mean host_device_ms network_ms min median p99 max \
    seconds timeout refused rejected mismatch skipped unsent; do
    out_has "\"$key\": "
done
is images 200
is fused 200
is predictions_lost 0
is raw_bytes 68.0
is packets_mean 1.0
is reply_bytes_mean 24.0
holds "$(figure accuracy "$tmp/out") > 0.7"
is late_answers 0
out_has '"classes": ['
holds "$(figure coded_bytes_mean "$tmp/out") > 0 && $(figure coded_bytes_mean "$tmp/out") <= 68"
holds "($(figure payload_bytes_mean "$tmp/out") - $(figure coded_bytes_mean "$tmp/out") - 20) ^ 2 < 1e-9"
holds "($(figure datagram_bytes_mean "$tmp/out") - $(figure payload_bytes_mean "$tmp/out") - 18) ^ 2 < 1e-9"
run 0 run "$tmp/a.agn" --preset tiny --port "$port" --deadline 10000 --predictions "$tmp/predictions.csv"
out_has "64 predictions (64 fused, 0 local only)"
out_has "class                images  correct    local  predicted  most often taken for"
out_has "confusion: rows are true classes"
[ "$(grep -c ',fused$' "$tmp/predictions.csv")" -eq 64 ] || die "predictions.csv: not 64 fused lines"
awk -F, 'NR > 1 && (NF != 11 || $7 != $1 || $10 < 0) { exit 1 }' "$tmp/predictions.csv" || die "predictions.csv: wrong columns"
head -n 1 "$tmp/predictions.csv" | grep -q ',file,true_class,predicted_class,margin,way$' || die "predictions.csv: wrong heading"
run 0 run "$tmp/a.agn" --preset tiny --port "$port" --deadline 10000 --confusion "$tmp/run.csv" --confusion "$tmp/run.png" --json
out_has '"confusion": ['
out_has '"accuracy_local": '
! grep -qF '"accuracy_fused"' "$tmp/out" || die "run calls answers fused that may be local"
is_png "$tmp/run.png"
awk -F, 'FNR == NR { if (FNR > 1) n[$8 "," $9]++; next } FNR == 1 { for (i = 2; i <= NF; i++) name[i] = $i; next }
         { for (i = 2; i <= NF; i++) { sum += $i; if ($i != n[$1 "," name[i]] + 0) exit 1 } } END { exit sum != 64 }' \
    "$tmp/predictions.csv" "$tmp/run.csv" || die "run --confusion does not count what --predictions lists"
run 0 run "$tmp/a.agn" --preset tiny --port "$port" --bandwidth auto --deadline 10000 --json
is fused 64
holds "$(figure measured_kbps "$tmp/out") > 0"
run 0 run "$tmp/a.agn" --preset tiny --port "$port" --bandwidth 100 --deadline 10000 --json
is fused 64
out_has '"measured_kbps": null'
for bandwidth in much -1 4000001 12345678 1e3 "" autos; do
    run 2 run "$tmp/a.agn" --preset tiny --port "$port" --bandwidth "$bandwidth"
done
run 0 run "$tmp/a.agn" --preset tiny --port "$port" --drop 1000 --deadline 20 --images 10 --json
is predictions_lost 0
is fused 0

# -- what goes wrong
refused 1 "the port is in use" serve "$b" --port "$port"
refused 1 "holds another model" run "$tmp/b.agn" --preset tiny --port "$port" --images 5 --deadline 10000
refused 1 "$tmp/none.agn" run "$tmp/none.agn" --preset tiny --port "$port"
refused 1 "$a: not a model.agn" run "$a" --preset tiny --port "$port"
head -c 500 "$tmp/a.agn" >"$tmp/short.agn"
refused 1 "$tmp/short.agn: not a model.agn, or truncated" run "$tmp/short.agn" --preset tiny --port "$port"
cp "$tmp/a.agn" "$tmp/bad.agn"
printf '\125\252\125\252' | dd of="$tmp/bad.agn" bs=1 seek=300 conv=notrunc 2>/dev/null
refused 1 "$tmp/bad.agn: the checksum is wrong" run "$tmp/bad.agn" --preset tiny --port "$port"
refused 1 "images are 12x12" run "$tmp/a.agn" --preset tiny --set data.height=13 --port "$port"
refused 1 "4 classes" run "$tmp/a.agn" --preset tiny --set data.classes=3 --port "$port"
refused 1 "no preset is called 'tinny'" run "$tmp/a.agn" --preset tinny --port "$port"
refused 1 "no data set in $tmp/folder" run "$tmp/a.agn" --preset tiny --data "$tmp/folder" --port "$port"
refused 1 "$tmp/a.agn: not a safetensors file" serve "$tmp/a.agn" --port 0
refused 1 "$tmp/none" serve "$tmp/none" --port 0
run 2 run "$tmp/a.agn" --preset tiny --port 70000
run 2 serve "$a" --wait 0

# -- the server ends in good order and tells what it did
stop TERM 0
cp "$tmp/end" "$tmp/out"
is frames 456
is frames_complete 456
is packets 457 # and one of another model
is bad_packets 1
is duplicates 0
[ ! -s "$tmp/serve.err" ] || die "the server wrote to stderr"

# -- the server is killed while a device works
start "$a"
"$bin" run "$tmp/a.agn" --preset tiny --port "$port" --images 40000 --deadline 10000 --predictions "$tmp/killed.csv" --json \
    >"$tmp/out" 2>"$tmp/err" &
runner=$!
wait_for 30 has_bytes "$tmp/killed.csv"
stop KILL 137
await "$runner" 60 "the device"
[ "$code" -eq 0 ] || die "the device ended with exit code $code when its server was killed"
is images 40000
is predictions_lost 0
holds "$(figure fused "$tmp/out") > 0 && $(figure fused "$tmp/out") < 40000"
holds "$(figure refused "$tmp/out") >= 3 && $(figure skipped "$tmp/out") > $(figure refused "$tmp/out")"
holds "$(figure accuracy "$tmp/out") >= $local_accuracy - 0.1"

# -- Ctrl-C ends a device
"$bin" run "$tmp/a.agn" --preset tiny --port 9 --images 10000000 --predictions "$tmp/endless.csv" >"$tmp/out" 2>"$tmp/err" &
runner=$!
wait_for 30 has_bytes "$tmp/endless.csv"
signal TERM "$runner"
await "$runner" 20 "the device"
[ "$code" -eq 130 ] || die "the device ended with exit code $code after SIGTERM, expected 130"
echo "export, serve, run: all as expected"
