#!/bin/sh
# All systems that were trained and measured, in one table, and which of them costs least at which rate and clock.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/estimate-systems.sh [options] [DATASET]...

Takes what scripts/measure-pay.sh left in OUT/DATASET-.../DESIGN/ (model.agn, run.json; it trains and measures, this only adds up) and
writes to RESULTS:
  systems-map.md                  for each DATASET a table of all designs, and what costs least, by accuracy, rate and clock
  systems-map.csv                 the latter as numbers: dataset,accuracy,rate_kbps,clock_mhz,modelled,winner,value,second,second_value
  systems-map-DATASET-PERCENT.svg pictures of it, one for each accuracy that is asked for
Bytes, share of frames sent and accuracy are measured, over all test images; instructions are counted under QEMU where run.json has them;
latency and energy are modelled (docs/COST.md), means over all frames, typical inputs. A design is called by its folder and its name.

options:
  --build DIR        where agilenn was built (build)
  --out DIR          trainings and figures of scripts/measure-pay.sh (out/pay)
  --results DIR      (OUT/map)
  --accuracy LIST    shares; a design takes part that reaches it (the best design's, less 0.5, 1, 2 and 5 points)
  --board NAME       (stm32f746)
  --radio NAME       (esp8266)
  --rates LIST       of the CSV, in kbit/s (50,100,270,500,1000,2000,6000)
  --clocks LIST      likewise, in MHz (64,108,216)
  --server-ms MS     queue and Remote NN (1)
DATASET: begins the folders' names (fashion and cifar10, where there are any); relative folders are below the repository

Example: scripts/estimate-systems.sh --results docs/results fashion
END
}

build=build
out=out/pay
results=''
accuracies=''
board=stm32f746
radio=esp8266
rates=50,100,270,500,1000,2000,6000
clocks=64,108,216
server_ms=1
given=''
while [ $# -gt 0 ]; do
    case $1 in
    --build | --out | --results | --accuracy | --board | --radio | --rates | --clocks | --server-ms)
        [ $# -ge 2 ] || { echo "estimate-systems.sh: $1 needs a value" >&2 && exit 2; } ;;
    esac
    case $1 in
    --build) build=$2 && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    --results) results=$2 && shift 2 ;;
    --accuracy) accuracies=$2 && given="$given --accuracy '$2'" && shift 2 ;;
    --board) board=$2 && given="$given $1 $2" && shift 2 ;;
    --radio) radio=$2 && given="$given $1 $2" && shift 2 ;;
    --rates) rates=$2 && given="$given $1 $2" && shift 2 ;;
    --clocks) clocks=$2 && given="$given $1 $2" && shift 2 ;;
    --server-ms) server_ms=$2 && given="$given $1 $2" && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "estimate-systems.sh: $1: no such option" >&2 && exit 2 ;;
    *) break ;;
    esac
done
cd "$(dirname "$0")/.."
bin=$build/agilenn
results=${results:-$out/map}
datasets=$*
for dataset in fashion cifar10; do
    [ $# -eq 0 ] || break
    for file in "$out/$dataset"-*/*/run.json; do
        [ ! -f "$file" ] || { datasets="$datasets $dataset" && break; }
    done
done
[ -n "$datasets" ] || { echo "estimate-systems.sh: $out holds no run.json of fashion or cifar10: scripts/measure-pay.sh makes them" >&2 && exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
page=$work/systems-map.md
asked=' (the best design'"'"'s less 0.5, 1, 2 and 5 points)'
[ -z "$accuracies" ] || asked=''
table=$work/systems-map.csv

cat >"$page" <<END
# Which system costs least where

\`scripts/estimate-systems.sh --results docs/results$given${*:+ $*}\` makes this page, its pictures and [systems-map.csv](systems-map.csv) from what \`scripts/measure-pay.sh\` measured ([pay.md](pay.md)).

**Measured:** accuracy, bytes and the share of frames that are sent, over all test images through device (int8), socket and server; instructions where it says so were counted under QEMU (Cortex-M7). Bytes have the
headers of packet and CoAP, not those of UDP and IP, which latency and energy do count.
**Modelled** ([COST.md](../COST.md)): latency and energy, means over all frames, typical inputs, processor and radio without the rest of the board; board \`$board\`, radio \`$radio\`, $server_ms ms of server. A rate is the
radio's on the air, the clock the processor's, whose current scales with it. The inputs have intervals: where the second is near, take it as even.

Designs are compared that reach an accuracy$asked, one training each. Over 10,000 images an accuracy of 92 % is known to half a point (95 %), one of 80 % to 0.8: who is just above or below may be so by chance.
END
echo dataset,accuracy,rate_kbps,clock_mhz,modelled,winner,value,second,second_value >"$table"

for dataset in $datasets; do
    set --
    for file in "$out/$dataset"-*/*/run.json; do
        model=${file%run.json}model.agn
        [ -f "$file" ] && [ -f "$model" ] || continue
        design=${file%/run.json}
        folder=${design%/*}
        folder=$(basename "$folder" | sed "s/^$dataset-//; s/-[a-z]*\..*//")
        set -- "$@" "$model" --run "$file" --name "$folder ${design##*/}"
    done
    [ $# -gt 0 ] || { echo "estimate-systems.sh: $out/$dataset-*/*: no run.json beside a model.agn: scripts/measure-pay.sh makes them" >&2 && exit 1; }
    set -- "$@" --any --board "$board" --radio "$radio" --server-ms "$server_ms"
    "$bin" estimate "$@" --compare --json >"$work/all.json"
    levels=${accuracies:-$(python3 - "$work/all.json" <<'END'
import json, sys
best = max(s["accuracy"] for s in json.load(open(sys.argv[1]))["systems"] if s["accuracy"] is not None)
print(*("%.4f" % (best - less) for less in (0.005, 0.01, 0.02, 0.05)))
END
    )}
    for level in $levels; do
        picture=systems-map-$dataset-$(python3 -c 'import sys; print("%g" % (100 * float(sys.argv[1])))' "$level").svg
        "$bin" estimate "$@" --accuracy "$level" --plot "$work/$picture" >"$work/out.txt"
        "$bin" estimate "$@" --accuracy "$level" --rates "$rates" --clocks "$clocks" --plot-csv "$work/$dataset-$level.csv" >"$work/out.txt"
        sed "1d; s/^/$dataset,$level,/" "$work/$dataset-$level.csv" >>"$table"
    done
    # shellcheck disable=SC2086 # a list of words
    python3 scripts/systems_map.py "$work" "$dataset" $levels >>"$page"
done
mkdir -p "$results"
rm -f "$results"/systems-map-*.svg # of other accuracies
mv "$work"/systems-map* "$results/"
cat "$results/systems-map.md"
