#!/bin/sh
# `agilenn swarm` as a user meets it: against a real server over a good and a bad link, with a server that is killed
# and comes back, and what it refuses.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
need curl
start() { start_as serve "$tmp/a/model.safetensors" --port "$1" --http 0 --threads 1; }

# Every frame has its prediction, and the books agree with themselves.
accounted() {
    is lost_predictions 0
    holds "$(figure answered) + $(figure fallbacks) == $(figure offered)"
    holds "$(figure timed_out) + $(figure busy) + $(figure rejected) + $(figure overslept) + \
        $(figure paused) == $(figure fallbacks)"
}

tiny_set "$tmp"
tiny_model a

# -- a good link
start 0
run 0 swarm "$tmp/a.agn" --preset tiny --port "$port" --devices 20 --rate 100 --duration 2 --deadline 5000 --json \
    --arrivals fixed --csv "$tmp/seconds.csv"
for key in offered_fps achieved_fps p50_ms p90_ms p99_ms p999_ms max_ms fallback_rate lost_predictions accuracy \
    local_accuracy bytes_mean duration_s devices busy late overslept paused strangers packets packets_lost answer_ms \
    send_lag_ms; do
    grep -qF "\"$key\": " "$tmp/out" || die "stdout lacks $key"
done
is offered 200
is answered 200
is fallbacks 0
is devices 20
accounted
holds "$(figure accuracy) > 0.7 && $(figure p50_ms) > 0 && $(figure p99_ms) < 5000"
[ "$(head -n 1 "$tmp/seconds.csv")" = "second,offered,answered,fallbacks,late,busy,p50_ms,p99_ms,max_ms,paused" ] ||
    die "seconds.csv begins with $(head -n 1 "$tmp/seconds.csv")"
holds "$(awk -F, 'NR > 1 { sum += $2 } END { print sum }' "$tmp/seconds.csv") == 200"
run 0 swarm "$tmp/a.agn" --preset tiny --port "$port" --rate 50 --duration 1 --deadline 5000
grep -qF "0 without a prediction" "$tmp/out" || die "no word on predictions"

# -- a report, of what is offered and what becomes of it
if command -v gnuplot >/dev/null; then
    run 0 swarm "$tmp/a.agn" --preset tiny --port "$port" --rate 100 --duration 2 --deadline 5000 --arrivals fixed --json \
        --report "$tmp/deep/report"
    for file in load.png seconds.csv latency.csv report.json; do
        [ -s "$tmp/deep/report/$file" ] || die "the report lacks $file"
    done
    cmp -s "$tmp/out" "$tmp/deep/report/report.json" || die "report.json is not what --json prints"
    holds "$(awk -F, 'NR > 1 { sum += $2 } END { print sum }' "$tmp/deep/report/seconds.csv") == 200"
    [ "$(head -n 1 "$tmp/deep/report/latency.csv")" = "share,prediction_ms,answer_ms" ] || die "latency.csv has no header"
    holds "$(awk -F, 'NR > 1 { if ($1 <= share || $2 < ms) bad++; share = $1; ms = $2 } END { print bad + 0 }' \
        "$tmp/deep/report/latency.csv") == 0"
    run 1 swarm "$tmp/a.agn" --preset tiny --port "$port" --rate 10 --duration 0.1 --report "$tmp/a.agn/report"
else
    run 1 swarm "$tmp/a.agn" --preset tiny --port "$port" --report "$tmp/deep/report"
    grep -qF "gnuplot" "$tmp/err" || die "no word on gnuplot"
fi

# -- a bad one
run 0 swarm "$tmp/a.agn" --preset tiny --port "$port" --devices 20 --rate 200 --duration 3 --deadline 400 --json \
    --loss 20 --delay 5 --jitter 5 --bandwidth 500
accounted
holds "$(figure packets_lost) > 0.1 * $(figure packets) && $(figure packets_lost) < 0.3 * $(figure packets)"
holds "$(figure fallback_rate) > 0.15 && $(figure answered) > 0"
holds "$(figure accuracy) >= $(figure local_accuracy) - 0.1"

# -- Ctrl-C: the figures so far, and the exit code of what was interrupted
for more in "" --json; do
    # shellcheck disable=SC2086 # an option or none
    "$bin" swarm "$tmp/a.agn" --preset tiny --port "$port" --rate 200 --duration 600 --deadline 300 --csv "$tmp/seconds.csv" \
        $more >"$tmp/out" 2>"$tmp/err" &
    swarm=$!
    wait_for 30 has_served $(($(frames_served) + 100))
    signal TERM "$swarm" # as INT, which a shell's children in the background ignore
    await "$swarm" 20 "the interrupted swarm"
    [ "$code" -eq 130 ] || die "the swarm ended with exit code $code after SIGTERM, expected 130"
    holds "$(awk -F, 'NR > 1 { sum += $3 } END { print sum + 0 }' "$tmp/seconds.csv") > 10"
done
accounted
holds "$(figure answered) > 10 && $(figure offered) < 20000"
run 1 swarm "$tmp/a.agn" --preset tiny --port "$port" --rate 0.01 --duration 0.001
grep -qF "no frame was due in 0.001 s" "$tmp/err" || die "no word on an empty run"
[ ! -s "$tmp/out" ] || die "an empty run has no figures"
run 1 swarm "$tmp/a.agn" --preset tiny --port "$port" --ramp --rate 1 --duration 0.001
grep -qF "no frame was due in any step of 0.001 s" "$tmp/err" || die "no word on steps without a frame"
run 1 swarm "$tmp/a.agn" --preset tiny --port "$port" --ramp --rate 0.5
grep -qF "begins at 0.5 frames/s, expected 1 to" "$tmp/err" || die "no word on a rate too low to begin with"

# -- the highest rate
run 0 swarm "$tmp/a.agn" --preset tiny --port "$port" --ramp --rate 2000 --duration 0.2 --limit 50 --json
accounted
grep -qF '"half": {' "$tmp/out" || die "no run at half the rate"

# -- the server is killed and comes back: devices fall back, then are answered again
"$bin" swarm "$tmp/a.agn" --preset tiny --port "$port" --devices 20 --rate 100 --duration 9 --deadline 300 --json \
    --csv "$tmp/seconds.csv" >"$tmp/out" 2>"$tmp/err" &
swarm=$!
wait_for 30 has_served $(($(frames_served) + 150))
kill -9 "$server"
await "$server" 10 "the killed server"
server=
sleep 1.5 # without a server
start "$port"
await "$swarm" 60 "the swarm"
[ "$code" -eq 0 ] || die "the swarm ended with exit code $code when its server was killed"
accounted
holds "$(figure fallbacks) > 50 && $(figure answered) > 100"
last=$(awk -F, '$2 > 50 { answered = $3 } END { print answered }' "$tmp/seconds.csv")
holds "$last > 50" # answered again

# -- what is refused
run 1 swarm "$tmp/none.agn" --preset tiny --port "$port"
grep -qF "$tmp/none.agn" "$tmp/err" || die "the missing file is not named"
run 1 swarm "$tmp/a/model.safetensors" --preset tiny --port "$port"
run 1 swarm "$tmp/a.agn" --preset tiny --set data.height=13 --port "$port"
run 2 swarm "$tmp/a.agn" --preset tiny --devices 0
run 2 swarm "$tmp/a.agn" --preset tiny --ramp --csv "$tmp/x.csv"
run 2 swarm "$tmp/a.agn" --preset tiny --ramp --report "$tmp/x"
tiny_model b --seed 2 --set joint.epochs=1
run 1 swarm "$tmp/b.agn" --preset tiny --port "$port"
grep -qF "does not have model" "$tmp/err" || die "another model is not named as the reason"
stop TERM 0
run 1 swarm "$tmp/a.agn" --preset tiny --port "$port" --ramp --rate 2 --duration 0.5 --deadline 50
grep -qF "is a server listening there" "$tmp/err" || die "nobody there: no advice"
echo "swarm: loads, losses, a killed server: as expected"
