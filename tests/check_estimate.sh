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
# that EXPRESSION: of `o`, the JSON object in $tmp/out
that() {
    python3 -c 'import json, sys
o = json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else 1)' "$tmp/out" "$1" || die "$1 does not hold: $(cat "$tmp/out")"
}
need python3

run 0 export --preset fashion --output "$tmp/model.agn"
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
run 0 estimate --preset fashion --json
[ "$(json_figure cost.mean.ms.typical)" = "$agn" ] || die "a preset costs other than its file"

# QEMU's counts of this preset (bench/golden/mcu.csv) within the stated error.
counted=$(awk -F, '$1 == "fashion" && $2 == "cortex-m7" && $3 == "dsp" && ($4 == "extractor" || $4 == "local") { n += $5 } END { print n }' \
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
run 0 estimate --compare --preset fashion --preset fashion-local-only --preset fashion-edge-only-jpeg --csv "$tmp/all.csv" --json
that 'len(o["systems"]) == 3 and o["systems"][1]["work"]["sent_share"] == 0'
[ "$(wc -l <"$tmp/all.csv")" -eq 34 ] || die "the CSV has not 3 x 11 rows"
run 0 estimate --compare --preset fashion --preset fashion-local-only
grep -q "^fashion-local-only " "$tmp/out" || die "the table lacks a model"
if command -v gnuplot >/dev/null; then
    run 0 estimate --preset fashion --preset fashion-local-only --plot "$tmp/best.png"
    [ "$(head -c 4 "$tmp/best.png" | tail -c 3)" = PNG ] || die "no picture"
fi

# A run of each model, in their order; '-': none.
run 0 export --preset fashion-local-only --output "$tmp/local.agn"
sed 's/"images"/"accuracy": 0.88, "images"/' "$tmp/run.json" >"$tmp/split.json"
echo '{"images": 100, "accuracy": 0.9, "local_accuracy": 0.9, "reasons": {"alone": 100}}' >"$tmp/local.json"
three="$tmp/model.agn $tmp/local.agn --preset fashion-edge-only-jpeg --run $tmp/split.json --run $tmp/local.json --run - --name split --name local --name jpeg"
# shellcheck disable=SC2086 # a list of words
{
    run 0 estimate $three --json
    that '[s["model"] for s in o["systems"]] == ["split", "local", "jpeg"] and [s["accuracy"] for s in o["systems"]] == [0.88, 0.9, None]'
    that '[s["work"]["bytes"] for s in o["systems"]] == ["measured", "measured", "modelled"]'
    that '[s["work"]["instructions"] for s in o["systems"]] == ["counted", "modelled", "modelled"]'
    that '[p["ms"] for p in o["systems"][0]["cost"]["percentiles"]] == [o["systems"][0]["cost"]["sent"]["ms"]["typical"]] * 3'
    run 0 estimate $three --bytes 100 --json
    that '[s["work"]["bytes"] for s in o["systems"]] == ["given", "measured", "given"]'
    run 0 estimate $three --accuracy 0.9
    [ "$(sed -n '/^below 90 %/,$p' "$tmp/out" | grep -c '^split .*88.00%.*counted.*measured\|^jpeg .* - .*modelled.*modelled')" -eq 2 ] || die "who is below 90 % is not listed"
    out_has "local                          90.00%"
    run 0 estimate $three --accuracy 0.9 --json
    that '[s["takes_part"] for s in o["systems"]] == [False, True, False]'
    run 0 estimate $three --accuracy 0.95
    out_has "no model reaches 95 %"

    # The map says what single estimates say, and leaves out who is below.
    run 0 estimate $three --plot-csv "$tmp/map.csv" --rates 50,270.5,6000 --clocks 64,216
    [ "$(wc -l <"$tmp/map.csv")" -eq 13 ] || die "the map has not 2 x 3 x 2 rows"
    run 0 estimate $three --rate 270.5 --clock 64 --json
    python3 - "$tmp/out" "$tmp/map.csv" <<'PY' || die "the map differs from the estimates: $(cat "$tmp/map.csv")"
import csv, json, sys
systems = json.load(open(sys.argv[1]))["systems"]
rows = [r for r in csv.DictReader(open(sys.argv[2])) if (r["rate_kbps"], r["clock_mhz"]) == ("270.5", "64")]
assert [r["modelled"] for r in rows] == ["latency_ms", "energy_mj"]
for row, unit in zip(rows, ("ms", "mj")):
    costs = sorted((s["cost"]["mean"][unit]["typical"], s["model"]) for s in systems)
    assert [row["winner"], row["second"]] == [costs[0][1], costs[1][1]], costs
    for value, cost in ((row["value"], costs[0]), (row["second_value"], costs[1])):
        assert abs(float(value) / cost[0] - 1) < 1e-3, costs
PY
    run 0 estimate $three --accuracy 0.9 --plot-csv "$tmp/map.csv"
    [ "$(tail -n +2 "$tmp/map.csv" | cut -d, -f 3- | sort -u | grep -vc '_m[sj],local,[0-9.]*,,$')" -eq 0 ] || die "who is below takes part"
    [ "$(sed -n '2p;$p' "$tmp/map.csv" | cut -d, -f 1,2 | tr '\n' ' ')" = "50,64 6000,216 " ] || die "the map has other corners"
    if command -v gnuplot >/dev/null; then
        run 0 estimate $three --plot "$tmp/best.svg" --plot-csv "$tmp/map.csv"
        for name in $(tail -n +2 "$tmp/map.csv" | cut -d, -f 4 | sort -u); do
            grep -q "$name" "$tmp/best.svg" || die "the picture lacks $name"
        done
        python3 -c 'import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])' "$tmp/best.svg" || die "the picture is no XML"
    fi
}

# The same from a folder of measured designs.
if command -v gnuplot >/dev/null; then
    mkdir -p "$tmp/pay/fashion-agilenn/q30" "$tmp/pay/fashion-alone-model.grid_4/large"
    cp "$tmp/model.agn" "$tmp/split.json" "$tmp/pay/fashion-agilenn/q30"
    cp "$tmp/local.agn" "$tmp/local.json" "$tmp/pay/fashion-alone-model.grid_4/large"
    refuse 1 "no run.json of fashion or cifar10" "$root/scripts/estimate-systems.sh" --build "$AGN_BINARY_DIR" --out "$tmp/pay"
    mv "$tmp/pay/fashion-agilenn/q30/split.json" "$tmp/pay/fashion-agilenn/q30/run.json"
    cd "$tmp/pay/fashion-alone-model.grid_4/large" && mv local.agn model.agn && mv local.json run.json && cd "$root"
    echo old >"$tmp/pay/systems-map-fashion-50.svg"
    attempt 0 "$root/scripts/estimate-systems.sh" --build "$AGN_BINARY_DIR" --out "$tmp/pay" --results "$tmp/pay" --accuracy "0.87 0.9"
    out_has '| `agilenn q30` | 88.00 % | no | 207 (measured) | 60 % |'
    out_has '| `alone large` | 90.00 % | 90.00 % | 0 (measured) | 0 % |'
    [ "$(wc -l <"$tmp/pay/systems-map.csv")" -eq 85 ] || die "the CSV has not 2 x 7 x 3 x 2 rows"
    [ -s "$tmp/pay/systems-map-fashion-87.svg" ] && [ ! -e "$tmp/pay/systems-map-fashion-50.svg" ] || die "the pictures are not these"
    if grep 'fashion,0.9,' "$tmp/pay/systems-map.csv" | grep -q agilenn; then die "who is below takes part"; fi
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
refused 2 "--name is given 2 times for 1 models" estimate "$tmp/model.agn" --name a --name b
refused 2 "--accuracy goes with --run" estimate "$tmp/model.agn" --accuracy 0.9
for list in 5 6:5 1:2:3 1,2:3 1,,2 "1,2," 0:5 1,nan 1,x ""; do
    refused 2 "--rates $list: expected LOW:HIGH" estimate "$tmp/model.agn" --plot-csv "$tmp/no" --rates "$list"
done
refused 1 "no model reaches it; the best is local with 0.9" estimate $three --accuracy 0.95 --plot-csv "$tmp/no"
refused 1 "expected what \`agilenn run --json\` prints" estimate "$tmp/model.agn" --run "$root/README.md"
sed 's/^ram_bytes = .*/ram_bytes = 4096/' "$tmp/own.ini" >"$tmp/small.ini"
refused 1 "does not fit" estimate "$tmp/model.agn" --board "$tmp/small.ini"
run 0 estimate "$tmp/model.agn" --board "$tmp/small.ini" --any
grep -q "DOES NOT FIT" "$tmp/out" || die "--any does not say that it does not fit"
