#!/bin/sh
# `agilenn estimate` end to end: tables, JSON, CSV and picture, profiles of one's own, figures of a run, refusals, and
# what others measured (docs/COST.md).
set -eu
# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
AGILENN_PROFILES=$root/profiles
export AGILENN_PROFILES

# json_figure JSON_PATH...: numbers of $tmp/out, as 'cost.mean.ms.typical'
json_figure() {
    python3 - "$tmp/out" "$@" <<'PY'
import json, sys
with open(sys.argv[1]) as file:
    whole = json.load(file)
for path in sys.argv[2:]:
    value = whole
    for word in path.split("."):
        value = value[int(word)] if isinstance(value, list) else value[word]
    print(value)
PY
}
need python3

run 0 export --preset fashion-v1 --output "$tmp/model.agn"
run 0 estimate "$tmp/model.agn"
for word in modelled extract serial "frame sent" "whole board" "RAM" run_ma; do
    grep -q "$word" "$tmp/out" || die "the table lacks '$word'"
done

# The file and its preset cost the same; stages add up; the interval is one.
run 0 estimate "$tmp/model.agn" --json
agn=$(json_figure cost.mean.ms.typical)
that 'o["kind"] == "modelled" and o["board"] == "stm32f746" and o["fits"]'
that 'abs(sum(s["ms"]["typical"] for s in o["cost"]["stages"].values()) - o["cost"]["sent"]["ms"]["typical"]) < 1e-6'
that 'all(s[u]["low"] <= s[u]["typical"] <= s[u]["high"] for s in o["cost"]["stages"].values() for u in ("ms", "mj"))'
run 0 estimate --preset fashion-v1 --json
[ "$(json_figure cost.mean.ms.typical)" = "$agn" ] || die "a preset costs other than its file"

# QEMU's counts of this preset (bench/golden/mcu.csv) within the stated error.
counted=$(awk -F, '$1 == "fashion-v1" && $2 == "cortex-m7" && $3 == "dsp" && ($4 == "extractor" || $4 == "local") { n += $5 } END { print n }' \
    "$root/bench/golden/mcu.csv")
that "abs((o['work']['extract_instructions'] + o['work']['local_instructions']) / $counted - 1) < 0.1"

# Options: each moves what it should.
run 0 estimate "$tmp/model.agn" --json --rate 270 --clock 64
that "o['cost']['mean']['ms']['typical'] > $agn and o['clock_mhz'] == 64 and o['rate_kbps'] == 270"
run 0 estimate "$tmp/model.agn" --json --sent 0.2 --bytes 150 --server-ms 3
that 'o["work"]["sent_share"] == 0.2 and o["work"]["packet_bytes"] == 168 and o["cost"]["median_ms"]["typical"] < 8'
run 0 estimate "$tmp/model.agn" --json --loss 0.1 --deadline 100
that 'abs(o["with_loss"]["answered_share"] - 0.81) < 1e-9 and o["with_loss"]["mean"]["ms"]["typical"] > o["cost"]["mean"]["ms"]["typical"]'

# Radios of short and of few packets.
run 0 estimate "$tmp/model.agn" --json --radio 802154 --board nrf52840
that 'o["work"]["packet_bytes"] / o["work"]["packets"] <= 80 and o["work"]["packets"] > 1'
run 0 estimate "$tmp/model.agn" --radio lora --board stm32l4r5
grep -q "it decides latency and frame rate" "$tmp/out" || die "nothing is said of LoRa's few packets"

# What a run measured.
cat >"$tmp/run.json" <<'JSON'
{"images": 100, "packets_mean": 1.5, "payload_bytes_mean": 180.0, "datagram_bytes_mean": 207.0, "reply_bytes_mean": 36.0,
 "reasons": {"sure": 40, "fused": 60}, "row_instructions": 1000000, "packet_instructions": 90000}
JSON
run 0 estimate "$tmp/model.agn" --run "$tmp/run.json" --json
that 'o["work"]["instructions"] == "counted" and abs(o["work"]["sent_share"] - 0.6) < 1e-9 and o["work"]["packet_bytes"] == 207'
that 'abs(o["work"]["extract_instructions"] + o["work"]["local_instructions"] - 1e6) < 1 and o["work"]["encode_instructions"] == 90000'

# Several, and files.
run 0 estimate --compare --preset fashion-v1 --preset fashion-local-only --preset fashion-edge-only-jpeg --csv "$tmp/all.csv" --json
that 'len(o["systems"]) == 3 and o["systems"][1]["work"]["sent_share"] == 0'
[ "$(wc -l <"$tmp/all.csv")" -eq 34 ] || die "the CSV has not 3 x 11 rows"
run 0 estimate --compare --preset fashion-v1 --preset fashion-local-only
grep -q "^fashion-local-only " "$tmp/out" || die "the table lacks a model"
if command -v gnuplot >/dev/null; then
    run 0 estimate --preset fashion-v1 --preset fashion-local-only --plot "$tmp/best.png"
    [ "$(head -c 4 "$tmp/best.png" | tail -c 3)" = PNG ] || die "no picture"
fi

# Profiles: all are listed, with sources; one of one's own.
run 0 estimate --boards
[ "$(wc -l <"$tmp/out")" -eq 9 ] || die "not all boards are listed"
run 0 estimate --radios --json
that 'all(i["source"] and i["sure"] in ("known", "computed", "memory", "guess") for r in o["radios"] for i in r["inputs"])'
sed 's/^clock_mhz = 216/clock_mhz = 108/' "$root/profiles/boards/stm32f746.ini" >"$tmp/own.ini"
run 0 estimate "$tmp/model.agn" --board "$tmp/own.ini" --json
that 'o["board"] == "own" and o["clock_mhz"] == 108'

# What others measured, beside what the model says: person detection of MLPerf Tiny (MobileNetV1 of width 0.25, 7.5 MMAC)
# on an STM32H7A3: 29.5 ms and 3.70 mJ; mcunet-5fps by TinyEngine on the STM32F746: 135 ms.
person="conv:c8:s2 dw conv:c16:k1 dw:s2 conv:c32:k1 dw conv:c32:k1 dw:s2 conv:c64:k1 dw conv:c64:k1 dw:s2 conv:c128:k1 dw conv:c128:k1 \
dw conv:c128:k1 dw conv:c128:k1 dw conv:c128:k1 dw conv:c128:k1 dw:s2 conv:c256:k1 dw conv:c256:k1"
run 0 estimate --board stm32h7a3 --preset cifar10-mcunet --set "model.local=$person" --json
that 'o["cost"]["mean"]["ms"]["low"] < 29.5 * 1.25 and o["cost"]["mean"]["ms"]["high"] > 29.5 * 0.8'
run 0 estimate --preset cifar10-mcunet --json
that 'o["cost"]["mean"]["ms"]["low"] < 135'

# Refusals.
refused 1 "there are: esp32-s3" estimate "$tmp/model.agn" --board z80
refused 1 "line 4: there is no [link] rate_kbps" estimate "$tmp/model.agn" --board "$root/profiles/radios/lora.ini"
refused 2 "give 1 to" estimate
refused 2 "more than 0" estimate "$tmp/model.agn" --clock 0
refused 2 "--run is given 1 times for 2 models" estimate "$tmp/model.agn" "$tmp/model.agn" --run "$tmp/run.json"
refused 1 "expected what \`agilenn run --json\` prints" estimate "$tmp/model.agn" --run "$root/README.md"
sed 's/^ram_bytes = .*/ram_bytes = 4096/' "$tmp/own.ini" >"$tmp/small.ini"
refused 1 "does not fit" estimate "$tmp/model.agn" --board "$tmp/small.ini"
run 0 estimate "$tmp/model.agn" --board "$tmp/small.ini" --any
grep -q "DOES NOT FIT" "$tmp/out" || die "--any does not say that it does not fit"
