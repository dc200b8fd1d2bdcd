#!/bin/sh
# Runs server and swarm for long and watches their memory.
# usage: bench/soak.sh MODEL.safetensors MODEL.agn OUT [SECONDS [RATE [SERVE_OPTION...]]]
#   OUT/memory.csv (seconds, resident KB of server and swarm), OUT/seconds.csv, OUT/report.json, OUT/soak.png (with
#   gnuplot); SECONDS [600], RATE [1000] frames/s
# Environment: AGN_BIN [build/agilenn], AGN_PRESET [fashion], AGN_DEVICES [100], AGN_PORT [15691],
#   AGN_SWARM_OPTIONS: more options of `agilenn swarm`, such as "--loss 5 --delay 10"
# Exit code 1 when memory grows: when in the last third of the time either process has, at its median, more than 1 %
# and 256 KB above its median in the third before; or when a frame is without a prediction.
set -eu

[ $# -ge 3 ] || { sed -n '2,9s/^# //p' "$0" >&2 && exit 2; }
bin=${AGN_BIN:-build/agilenn}
preset=${AGN_PRESET:-fashion}
devices=${AGN_DEVICES:-100}
port=${AGN_PORT:-15691}
served=$1
model=$2
out=$3
seconds=${4:-600}
rate=${5:-1000}
shift 3
[ $# -eq 0 ] || shift
[ $# -eq 0 ] || shift
mkdir -p "$out"
LC_ALL=C
export LC_ALL

server=
swarm=
# shellcheck disable=SC2317
end_children() {
    [ -z "$swarm" ] || kill -TERM "$swarm" 2>/dev/null || true
    [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
    wait
}
trap end_children EXIT
trap 'exit 130' INT TERM

: >"$out/serve.json"
"$bin" serve "$served" --port "$port" --json "$@" >"$out/serve.json" 2>"$out/serve.err" &
server=$!
for _ in $(seq 100); do
    ! grep -q listening "$out/serve.json" || break
    kill -0 "$server" 2>/dev/null || { cat "$out/serve.err" >&2 && exit 1; }
    sleep 0.1
done
# shellcheck disable=SC2086 # a list of options on purpose
"$bin" swarm "$model" --preset "$preset" --port "$port" --devices "$devices" --rate "$rate" --duration "$seconds" \
    --csv "$out/seconds.csv" --json ${AGN_SWARM_OPTIONS:-} >"$out/report.json" 2>"$out/swarm.err" &
swarm=$!

resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status" 2>/dev/null; }
echo "second,server_kb,swarm_kb" >"$out/memory.csv"
begin=$(date +%s)
step=$((seconds / 120))
[ "$step" -ge 1 ] || step=1
while kill -0 "$swarm" 2>/dev/null; do
    of_server=$(resident "$server")
    of_swarm=$(resident "$swarm")
    [ -z "$of_server" ] || [ -z "$of_swarm" ] || echo "$(($(date +%s) - begin)),$of_server,$of_swarm" >>"$out/memory.csv"
    sleep "$step"
done
wait "$swarm" || { cat "$out/swarm.err" >&2 && exit 1; }
swarm=
kill -0 "$server" 2>/dev/null || { echo "soak: the server died" >&2 && exit 1; }

if command -v gnuplot >/dev/null; then
    gnuplot <<END
set terminal pngcairo size 900,500
set output "$out/soak.png"
set datafile separator ","
set title "$rate frames/s for $seconds s"
set xlabel "seconds"
set ylabel "resident memory, MB"
set yrange [0:*]
plot "$out/memory.csv" skip 1 using 1:(\$2/1024) with lines lw 2 title "server", \
     "" skip 1 using 1:(\$3/1024) with lines lw 2 title "swarm"
END
fi
figure() { sed -n "s/^  \"$1\": \([-0-9.e+]*\),*\$/\1/p" "$out/report.json" | head -n 1; }
echo "answered $(figure answered) of $(figure offered) frames, fallback rate $(figure fallback_rate), p99 $(figure p99_ms) ms"
[ "$(figure lost_predictions)" = 0 ] || { echo "soak: frames without a prediction" >&2 && exit 1; }

# median COLUMN FROM TO: of the samples in that part of the time, in thirds
median() {
    awk -F, -v column="$1" -v from="$2" -v to="$3" -v seconds="$seconds" \
        'NR > 1 && $1 >= from * seconds / 3 && $1 < to * seconds / 3 { print $column }' "$out/memory.csv" |
        sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}
grows=0
for column in 2 3; do
    name=server
    [ $column = 2 ] || name=swarm
    middle=$(median $column 1 2)
    last=$(median $column 2 3)
    echo "$name: $middle KB in the second third, $last KB in the last"
    awk "BEGIN { exit !($last > 1.01 * $middle && $last > $middle + 256) }" && grows=1
done
[ "$grows" = 0 ] || { echo "soak: memory grows" >&2 && exit 1; }
