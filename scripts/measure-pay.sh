#!/bin/sh
# One design's row for each rate of a link: trains the preset where that is not done yet (an interrupted training goes on), exports
# it, sends all test images through the device library, a socket and the server, and has `agilenn estimate` say what a frame costs.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/measure-pay.sh [options] DATASET DESIGN PRESET [SECTION.KEY=VALUE]...

DATASET and DESIGN are names for the table; designs of one name are meant to be compared. The settings change the preset, as \`agilenn
train --set\` does. Of all the images of the data set's test split, through device (int8), socket and server:
dataset,system,design,kbps,accuracy,bytes_mean,latency_ms,energy_mj,instructions,silent_accuracy,command
kbps is the rate on the air; bytes_mean are all bytes from device to server, CoAP, UDP and IPv4 included, the mean over all frames,
also those that stay unsent; latency_ms (the median) and energy_mj (the mean) are modelled, typical inputs; instructions are a
Cortex-M7's under QEMU, the mean over all frames; silent_accuracy is without a server, empty: no answer then.
The same with intervals (accuracy: 95 %, Wilson; modelled figures: low and high of the profiles' inputs) is in OUT/.../DESIGN/pay-KBPS.json.

options:
  --build DIR        where agilenn was built (build)
  --out DIR          trainings and figures (out/pay)
  --results FILE     the table, whose rows of the same command are replaced (OUT/pay.csv)
  --data DIR         folder of the data set, instead of the preset's
  --threads N        for training (all cores)
  --compute NAME     numbers in training: f32, or bf16 where the CPU has it (f32)
  --sent SHARE       of the frames that are sent, as \`agilenn export --sent\`
  --may-lose SHARE   likewise, as \`agilenn export --may-lose\`
  --reach SHARE      likewise, as \`agilenn export --reach\`
  --board NAME       (stm32f746)
  --radio NAME       (esp8266)
  --rates LIST       in kbit/s ("270 2000 6000")
  --server-ms MS     queue and Remote NN (1)
  --protocol N       of the wire (2)

Example: scripts/measure-pay.sh fashion q30 fashion-edge-only-jpeg model.jpeg_quality=30
END
}

build=build
out=out/pay
results=''
data=''
threads=''
compute=f32
decision=''
board=stm32f746
radio=esp8266
rates='270 2000 6000'
protocol=2
server_ms=1
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:?--build needs a folder} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --results) results=${2:?--results needs a file} && shift 2 ;;
    --data) data="--data $(realpath "${2:?--data needs a folder}")" && shift 2 ;;
    --threads) threads="--threads ${2:?--threads needs a number}" && shift 2 ;;
    --compute) compute=${2:?--compute needs a name} && shift 2 ;;
    --sent | --may-lose | --reach) decision="$1 ${2:?$1 needs a share}" && shift 2 ;;
    --board) board=${2:?--board needs a name} && shift 2 ;;
    --radio) radio=${2:?--radio needs a name} && shift 2 ;;
    --rates) rates=${2:?--rates needs a list} && shift 2 ;;
    --server-ms) server_ms=${2:?--server-ms needs a number} && shift 2 ;;
    --protocol) protocol=${2:?--protocol needs a number} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "measure-pay.sh: $1: no such option" >&2 && exit 2 ;;
    *) break ;;
    esac
done
[ $# -ge 3 ] || { usage >&2 && exit 2; }
dataset=$1
design=$2
preset=$3
shift 3
command="scripts/measure-pay.sh${decision:+ $decision} $dataset $design $preset${*:+ $*}"
name=$(basename "$preset" .ini)
sets=''
for set in "$@"; do
    sets="$sets --set $set"
    name="$name-$(echo "$set" | tr -c 'a-zA-Z0-9.\n' '_')"
done
cd "$(dirname "$0")/.."
bin=$build/agilenn
results=${results:-$out/pay.csv}
run=$out/$name
work=$run/$design
mkdir -p "$work"
[ -f "$results" ] || echo dataset,system,design,kbps,accuracy,bytes_mean,latency_ms,energy_mj,instructions,silent_accuracy,command >"$results"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

# value NAME FILE: the first number of that name, empty if there is none or it is null.
value() { tr -d ' ' <"$2" | sed -n "s/^\"$1\":\(-*[0-9.e+-]*\),*\$/\1/p" | head -n 1; }

if [ ! -f "$run/train.json" ]; then
    resume=
    [ ! -f "$run/checkpoint.safetensors" ] || resume=--resume
    # shellcheck disable=SC2086 # lists of words on purpose
    "$bin" train --preset "$preset" $sets --set train.compute="$compute" --out "$run" $threads $data $resume
fi
model=$run/model.safetensors
# shellcheck disable=SC2086
"$bin" export "$model" --output "$work/model.agn" $data $decision --json >"$work/export.json"
system=$("$bin" info "$model" | sed -n 's/^system  *\([a-z-]*\).*/\1/p')
system=${system:-agilenn}
port=
if [ "$system" != local-only ]; then
    : >"$work/serve.log"
    "$bin" serve "$model" --port 0 >"$work/serve.log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        port=$(sed -n 's/.*coap:\/\/[^:]*:\([0-9]*\).*/\1/p' "$work/serve.log")
        [ -z "$port" ] || break
        sleep 0.1
    done
    [ -n "$port" ] || { echo "measure-pay.sh: the server did not start: $(tail -n 1 "$work/serve.log")" >&2 && exit 1; }
fi
# shellcheck disable=SC2086
"$bin" run "$work/model.agn" --preset "$preset" $sets $data ${port:+--port "$port" --protocol "$protocol"} --deadline 2000 --firmware firmware \
    --json >"$work/run.json"
if [ -n "$server" ]; then
    kill "$server"
    wait "$server" || true
    server=
fi
grep -v ",$command\$" "$results" >"$results.new" || true
for kbps in $rates; do
    "$bin" estimate "$work/model.agn" --run "$work/run.json" --board "$board" --radio "$radio" --rate "$kbps" --server-ms "$server_ms" --json \
        >"$work/estimate-$kbps.json"
    python3 - "$work" "$kbps" "$dataset,$system,$design" "$command" >>"$results.new" <<'END'
import json, math, sys
folder, kbps, names, command = sys.argv[1:]
run = json.load(open(folder + "/run.json"))
estimate = json.load(open(folder + "/estimate-" + kbps + ".json"))
cost, work, silent = estimate["cost"], estimate["work"], run.get("local_accuracy")
instructions = work["extract_instructions"] + work["local_instructions"] + work["sent_share"] * work["encode_instructions"]
print("%s,%s,%.4f,%.1f,%.2f,%.3f,%.0f,%s,%s" % (names, kbps, run["accuracy"], cost["air_bytes"], cost["median_ms"]["typical"],
      cost["mean"]["mj"]["typical"], instructions, "" if silent is None else "%.4f" % silent, command))


def wilson(p, n, z=1.959964):
    d, m = 1 + z * z / n, p + z * z / (2 * n)
    w = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [(m - w) / d, (m + w) / d]


n = run["images"]
json.dump({"names": names, "kbps": float(kbps), "images": n, "accuracy": [run["accuracy"], wilson(run["accuracy"], n)],
           "silent_accuracy": None if silent is None else [silent, wilson(silent, n)], "sent_share": work["sent_share"],
           "median_ms": cost["median_ms"], "mean_mj": cost["mean"]["mj"], "board_mj": cost["mean_board_mj"]},
          open(folder + "/pay-" + kbps + ".json", "w"), indent=1)
END
done
mv "$results.new" "$results"
tail -n "$(echo "$rates" | wc -w)" "$results"
