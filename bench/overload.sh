#!/bin/sh
# How a server fares beyond its limit: searches the highest rate that it sustains, then offers shares and multiples of it.
# usage: bench/overload.sh MODEL.safetensors MODEL.agn OUT [SECONDS [SERVE_OPTION...]]
#   OUT/overload.csv, OUT/overload.png (with gnuplot), OUT/ramp.json; SECONDS a step [5]
# Environment: AGN_BIN [build/agilenn], AGN_PRESET [fashion], AGN_DEVICES [100], AGN_PORT [15690], AGN_DEADLINE [200],
#   AGN_SWARM_OPTIONS: more options of `agilenn swarm` [--no-pause: devices that do not heed 5.03], AGN_PIN [no]: yes, no
# Server and generator share this machine. With AGN_PIN=no they share its cores too, and what the generator takes is
# missing to the server; with yes (taskset, 2 cores or more) the generator has the last core to itself, the server the others.
# Exit code 1 when at 3 times the highest rate fewer than 80 % of the most answers a second come.
set -eu

[ $# -ge 3 ] || { sed -n '2,9s/^# //p' "$0" >&2 && exit 2; }
bin=${AGN_BIN:-build/agilenn}
preset=${AGN_PRESET:-fashion}
devices=${AGN_DEVICES:-100}
port=${AGN_PORT:-15690}
deadline=${AGN_DEADLINE:-200}
pin=${AGN_PIN:-no}
served=$1
model=$2
out=$3
seconds=${4:-5}
shift 3
[ $# -eq 0 ] || shift
mkdir -p "$out"
LC_ALL=C
export LC_ALL

on_server=
on_generator=
if [ "$pin" = yes ]; then
    last=$(($(nproc) - 1))
    if ! command -v taskset >/dev/null || [ "$last" -lt 1 ]; then
        echo "overload: AGN_PIN=yes needs taskset and two cores" >&2
        exit 2
    fi
    on_server="taskset -c 0-$((last - 1))"
    on_generator="taskset -c $last"
fi

: >"$out/serve.json"
# shellcheck disable=SC2086 # a command on purpose, as below
$on_server "$bin" serve "$served" --port "$port" --json "$@" >"$out/serve.json" 2>"$out/serve.err" &
server=$!
trap 'kill -TERM $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM
for _ in $(seq 100); do
    ! grep -q listening "$out/serve.json" || break
    kill -0 "$server" 2>/dev/null || { cat "$out/serve.err" >&2 && exit 1; }
    sleep 0.1
done

# load ARGUMENT...
load() {
    # shellcheck disable=SC2086
    $on_generator "$bin" swarm "$model" --preset "$preset" --port "$port" --devices "$devices" --deadline "$deadline" \
        --duration "$seconds" --json ${AGN_SWARM_OPTIONS---no-pause} "$@"
}
figure() { sed -n "s/^  \"$1\": \([-0-9.e+]*\),*\$/\1/p" "$2" | head -n 1; }
# Hundredths of a second of CPU that the server has used.
ticks() { sed 's/.*) //' "/proc/$server/stat" | awk '{ print $12 + $13 }'; }

load --ramp --rate 500 >"$out/ramp.json"
highest=$(figure offered_fps "$out/ramp.json")
echo "highest rate sustained: $highest frames/s"
echo "times,offered_fps,achieved_fps,fallback_rate,busy,p50_ms,p99_ms,server_cpu_ms_a_frame" >"$out/overload.csv"
for times in 0.25 0.5 0.75 1 1.5 2 3; do
    before=$(ticks)
    load --rate "$(awk "BEGIN { print $highest * $times }")" >"$out/step.json" 2>/dev/null
    after=$(ticks)
    cost=$(awk "BEGIN { print 10 * ($after - $before) / $(figure offered "$out/step.json") }")
    line=$times
    for key in offered_fps achieved_fps fallback_rate busy p50_ms p99_ms; do
        line=$line,$(figure $key "$out/step.json")
    done
    echo "$line,$cost" | tee -a "$out/overload.csv"
done
rm "$out/step.json"

if command -v gnuplot >/dev/null; then
    gnuplot <<END
set terminal pngcairo size 900,500
set output "$out/overload.png"
set datafile separator ","
set title "Load beyond the highest rate sustained ($highest frames/s)"
set xlabel "offered frames/s"
set ylabel "answers/s"
set y2label "p99 of the time to a prediction, ms"
set y2tics
set ytics nomirror
set key left top
set yrange [0:*]
set y2range [0:*]
plot "$out/overload.csv" skip 1 using 2:3 with linespoints lw 2 title "answered in time", \
     "" skip 1 using 2:(\$2) with lines dt 2 title "offered", \
     "" skip 1 using 2:7 axes x1y2 with linespoints lw 2 title "p99 (right)"
END
fi
awk -F, 'NR > 1 { if ($3 > peak) peak = $3; last = $3 }
    END { printf "goodput at 3 times: %.0f answers/s, %.0f %% of its peak of %.0f\n", last, 100 * last / peak, peak
          exit last < 0.8 * peak }' "$out/overload.csv"
