#!/bin/sh
# Systems side by side, on the same work: trains each preset where that is not done yet (an interrupted training goes on), exports it, and
# sends all test images through the device library, a socket and the server.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/compare-systems.sh [--build DIR] [--out DIR] [--threads N] [--data DIR] [--results FILE] DATASET PRESET...

DATASET is the name in the table's first column, PRESET the systems to measure on it. --data is given to train and run as it is.
Rows are added to FILE (default: OUT/systems.csv), in place of an earlier one of the same preset:
dataset,system,accuracy,accuracy_low,accuracy_high,bytes,instructions,ram_bytes,flash_bytes,silent_accuracy,images_seen,command
accuracies are shares of all test images with a 95 % interval (Wilson); bytes are a frame's packets (the header of each included, CoAP, UDP and IP not), the mean over
all frames, also those that stay unsent; instructions are a Cortex-M7's under QEMU, rows and packets; RAM and flash are a Cortex-M7's with -O2:
arena, state, packet buffer and stack, code and model. silent_accuracy is without a server, empty: no answer then.

Example: scripts/compare-systems.sh fashion fashion fashion-local fashion-edge-only-jpeg fashion-local-only
END
}

build=build
out=out/systems
threads=''
data=''
results=''
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:?--build needs a folder} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --threads) threads="--threads ${2:?--threads needs a number}" && shift 2 ;;
    --data) data="--data $(realpath "${2:?--data needs a folder}")" && shift 2 ;;
    --results) results=${2:?--results needs a file} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "compare-systems.sh: $1: no such option" >&2 && exit 2 ;;
    *) break ;;
    esac
done
[ $# -ge 2 ] || { usage >&2 && exit 2; }
dataset=$1
shift
cd "$(dirname "$0")/.."
bin=$build/agilenn
results=${results:-$out/systems.csv}
mkdir -p "$out"
header=dataset,system,accuracy,accuracy_low,accuracy_high,bytes,instructions,ram_bytes,flash_bytes,silent_accuracy,images_seen,command
[ -f "$results" ] || echo "$header" >"$results"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

# value NAME FILE: the first number of that name, empty if there is none or it is null.
value() { tr -d ' ' <"$2" | sed -n "s/^\"$1\":\(-*[0-9.e+-]*\),*\$/\1/p" | head -n 1; }

# serve MODEL: in the background; its port is in $port, empty if the model has no server.
serve() {
    server=''
    port=''
    "$bin" info "$1" | grep -q '^system  *local-only' && return 0
    : >"$out/serve.log"
    "$bin" serve "$1" --port 0 >"$out/serve.log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        port=$(sed -n 's/.*coap:\/\/[^:]*:\([0-9]*\).*/\1/p' "$out/serve.log")
        [ -z "$port" ] || return 0
        sleep 0.1
    done
    echo "compare-systems.sh: the server did not start: $(tail -n 1 "$out/serve.log")" >&2
    exit 1
}

for preset in "$@"; do
    run=$out/$preset
    model=$run/model.safetensors
    if [ ! -f "$run/train.json" ]; then
        resume=
        [ ! -f "$run/checkpoint.safetensors" ] || resume=--resume
        # shellcheck disable=SC2086 # lists of words on purpose
        "$bin" train --preset "$preset" --out "$run" $threads $data $resume
    fi
    # shellcheck disable=SC2086
    "$bin" export "$model" --output "$run/model.agn" $data --json >"$run/export.json"
    serve "$model"
    # shellcheck disable=SC2086
    "$bin" run "$run/model.agn" --preset "$preset" $data ${port:+--port "$port"} --deadline 2000 --firmware firmware --json >"$run/run.json"
    if [ -n "$server" ]; then
        kill "$server"
        wait "$server" || true
    fi
    server=''
    "$bin" info "$run/model.agn" --json | tr -d ' \n' | grep -o '"target":"cortex-m7"[^}]*' | tr ',' '\n' >"$run/target.txt"
    system=$("$bin" info "$model" | sed -n 's/^system  *\([a-z-]*\).*/\1/p')
    # A line of the table, in place of an earlier one of this preset.
    command="scripts/compare-systems.sh $dataset $preset"
    grep -v ",$command\$" "$results" >"$results.new" || true
    awk -v dataset="$dataset" -v name="${system:-agilenn}" -v n="$(value images "$run/run.json")" -v p="$(value accuracy "$run/run.json")" \
        -v silent="$(value local_accuracy "$run/run.json")" -v payload="$(value payload_bytes_mean "$run/run.json")" \
        -v fused="$(value fused "$run/run.json")" -v unsent="$(value sure "$run/run.json")" \
        -v rows="$(value row_instructions "$run/run.json")" -v packets="$(value packet_instructions "$run/run.json")" \
        -v ram="$(value ram_bytes "$run/target.txt")" -v flash="$(value flash_bytes "$run/target.txt")" \
        -v rate="$(value train_images_per_s "$run/train.json")" -v seconds="$(value train_seconds "$run/train.json")" -v command="$command" 'BEGIN {
        z = 1.959964; d = 1 + z * z / n; m = (p + z * z / (2 * n)) / d; w = z / d * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        printf "%s,%s,%.4f,%.4f,%.4f,%.1f,%.0f,%d,%d,%s,%.0f,%s\n", dataset, name, p, m - w, m + w,
            payload * (n - unsent) / n, rows + packets, ram, flash, silent == "" ? "" : sprintf("%.4f", silent), rate * seconds, command }' >>"$results.new"
    mv "$results.new" "$results"
    tail -n 1 "$results"
done
