#!/bin/sh
# Where to cut a spinn network: each cut by itself, and the one chosen frame by frame, over links of several rates.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/compare-cuts.sh [--build DIR] [--out DIR] [--data DIR] [--images N] [--slower FACTOR] [--delay MS] PRESET [KBPS...]

Takes OUT/PRESET/model.safetensors and model.agn as scripts/compare-systems.sh leaves them, measures what its exits are worth on
training images, and sends N test images (default 1000) through a link of each rate (default 270 2000 6000 kbit/s), 1 ms of delay
each way. Prints CSV: kbps,cut,accuracy,latency_ms,left_at_exits,cuts
latency_ms is a frame's mean: the device, as many times slower than this machine as FACTOR says (default 30), and the network;
cuts: frames by cut. Fixed cuts have the model's own threshold.
END
}

build=build
out=out/systems
data=''
images=1000
slower=30
delay=1
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:?--build needs a folder} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --data) data="--data $(realpath "${2:?--data needs a folder}")" && shift 2 ;;
    --images) images=${2:?--images needs a number} && shift 2 ;;
    --slower) slower=${2:?--slower needs a factor} && shift 2 ;;
    --delay) delay=${2:?--delay needs a time} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "compare-cuts.sh: $1: no such option" >&2 && exit 2 ;;
    *) break ;;
    esac
done
[ $# -ge 1 ] || { usage >&2 && exit 2; }
preset=$1
shift
[ $# -gt 0 ] || set -- 270 2000 6000
command -v python3 >/dev/null || { echo "compare-cuts.sh: scripts/slow-link.py needs python3" >&2 && exit 1; }
cd "$(dirname "$0")/.."
bin=$build/agilenn
run=$out/$preset
server=
link=
# shellcheck disable=SC2086 # a list of process numbers, perhaps empty
trap 'kill $server $link 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

# port_in FILE PATTERN: waits for it.
port_in() {
    for _ in $(seq 100); do
        port=$(sed -n "$2" "$1" | head -n 1)
        [ -z "$port" ] || return 0
        sleep 0.1
    done
    echo "compare-cuts.sh: no port in $1: $(tail -n 1 "$1")" >&2
    exit 1
}

figure() { sed -n "s/^ *\"$1\": \([-0-9.e+]*\),*\$/\1/p" "$run/cut.json" | head -n 1; }

# shellcheck disable=SC2086 # lists of words on purpose
"$bin" eval "$run/model.safetensors" --split train --limit 10000 --exits --json $data >"$run/exits.json"
"$bin" serve "$run/model.safetensors" --port 0 >"$run/serve.log" 2>&1 &
server=$!
port_in "$run/serve.log" 's/.*coap:\/\/[^:]*:\([0-9]*\).*/\1/p'
served=$port
cuts=$("$bin" info "$run/model.agn" --json | grep -c '"value_bits"' || true)
echo kbps,cut,accuracy,latency_ms,left_at_exits,cuts
for kbps in "$@"; do
    python3 scripts/slow-link.py --to "$served" --kbps "$kbps" --delay "$delay" >"$run/link.log" &
    link=$!
    port_in "$run/link.log" 's/^\([0-9]*\)$/\1/p'
    for cut in $(seq 0 $((cuts - 1))) auto; do
        exits=
        [ "$cut" != auto ] || exits="--exits $run/exits.json"
        # shellcheck disable=SC2086
        "$bin" run "$run/model.agn" --preset "$preset" $data --port "$port" --deadline 5000 --images "$images" --cut "$cut" $exits \
            --slower "$slower" --json >"$run/cut.json" 2>"$run/cut.log"
        all=
        for i in $(seq 0 $((cuts - 1))); do
            all="$all $(figure "$i")"
        done
        echo "$kbps,$cut,$(figure accuracy),$(figure latency_ms),$(figure sure),${all# }"
    done
    kill "$link"
    wait "$link" 2>/dev/null || true
    link=
done
