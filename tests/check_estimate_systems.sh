#!/bin/sh
# `agilenn estimate` of several systems: a run measured for each, who reaches an accuracy, what costs least where as CSV and
# picture, and scripts/estimate-systems.sh over a folder of measured designs.
set -eu
# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
AGILENN_PROFILES=$root/profiles
export AGILENN_PROFILES

need python3

# A run of each model, in their order; '-': none.
run 0 export --preset fashion-v1 --output "$tmp/model.agn"
run 0 export --preset fashion-local-only --output "$tmp/local.agn"
cat >"$tmp/split.json" <<'JSON'
{"accuracy": 0.88, "images": 100, "packets_mean": 1.5, "payload_bytes_mean": 180.0, "datagram_bytes_mean": 207.0, "reply_bytes_mean": 36.0,
 "reasons": {"sure": 40, "fused": 60}, "row_instructions": 1000000, "packet_instructions": 90000}
JSON
echo '{"images": 100, "accuracy": 0.9, "local_accuracy": 0.9, "reasons": {"alone": 100}}' >"$tmp/local.json"
# with_three COMMAND...: with a model that was counted, one that was run, and one of which nothing was measured
with_three() {
    "$@" "$tmp/model.agn" "$tmp/local.agn" --preset fashion-edge-only-jpeg --run "$tmp/split.json" --run "$tmp/local.json" --run - \
        --name split --name local --name jpeg
}
with_three run 0 estimate --json
that '[s["model"] for s in o["systems"]] == ["split", "local", "jpeg"] and [s["accuracy"] for s in o["systems"]] == [0.88, 0.9, None]'
that '[s["work"]["bytes"] for s in o["systems"]] == ["measured", "measured", "modelled"]'
that '[s["work"]["instructions"] for s in o["systems"]] == ["counted", "modelled", "modelled"]'
that '[p["ms"] for p in o["systems"][0]["cost"]["percentiles"]] == [o["systems"][0]["cost"]["sent"]["ms"]["typical"]] * 3'
with_three run 0 estimate --bytes 100 --json
that '[s["work"]["bytes"] for s in o["systems"]] == ["given", "measured", "given"]'
with_three run 0 estimate --accuracy 0.9
[ "$(sed -n '/^below 90 %/,$p' "$tmp/out" | grep -c '^split .*88.00%.*counted.*measured\|^jpeg .* - .*modelled.*modelled')" -eq 2 ] || die "who is below 90 % is not listed"
out_has "local                          90.00%"
with_three run 0 estimate --accuracy 0.9 --json
that '[s["takes_part"] for s in o["systems"]] == [False, True, False]'
with_three run 0 estimate --accuracy 0.95
out_has "no model reaches 95 %"

# The map says what single estimates say, and leaves out who is below.
with_three run 0 estimate --plot-csv "$tmp/map.csv" --rates 50,270.5,6000 --clocks 64,216
[ "$(wc -l <"$tmp/map.csv")" -eq 13 ] || die "the map has not 2 x 3 x 2 rows"
with_three run 0 estimate --rate 270.5 --clock 64 --json
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
with_three run 0 estimate --accuracy 0.9 --plot-csv "$tmp/map.csv"
[ "$(tail -n +2 "$tmp/map.csv" | cut -d, -f 3- | sort -u | grep -vc '_m[sj],local,[0-9.]*,,$')" -eq 0 ] || die "who is below takes part"
[ "$(sed -n '2p;$p' "$tmp/map.csv" | cut -d, -f 1,2 | tr '\n' ' ')" = "50,64 6000,216 " ] || die "the map has other corners"
if command -v gnuplot >/dev/null; then
    with_three run 0 estimate --plot "$tmp/best.svg" --plot-csv "$tmp/map.csv"
    for name in $(tail -n +2 "$tmp/map.csv" | cut -d, -f 4 | sort -u); do
        grep -q "$name" "$tmp/best.svg" || die "the picture lacks $name"
    done
    python3 -c 'import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])' "$tmp/best.svg" || die "the picture is no XML"
fi

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

# Refusals.
refused 2 "--name is given 2 times for 1 models" estimate "$tmp/model.agn" --name a --name b
refused 2 "--accuracy goes with --run" estimate "$tmp/model.agn" --accuracy 0.9
refused 1 "this run the device sends, but $tmp/local.agn answers alone" estimate "$tmp/local.agn" --run "$tmp/split.json"
refused 1 "this run the device answers alone, but split sends" estimate "$tmp/model.agn" --name split --run "$tmp/local.json"
for list in 5 6:5 1:2:3 1,2:3 1,,2 "1,2," 0:5 1,nan 1,x ""; do
    refused 2 "--rates $list: expected LOW:HIGH" estimate "$tmp/model.agn" --plot-csv "$tmp/no" --rates "$list"
done
with_three refused 1 "no model reaches it; the best is local with 0.9" estimate --accuracy 0.95 --plot-csv "$tmp/no"
