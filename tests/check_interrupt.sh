#!/bin/sh
# Asked to end, a device stops at once: in a run that was told to go on for days, whose memory is that of the images so
# far, and while it waits for a server that says nothing.
set -eu

# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"
tiny_set "$tmp"
run 0 train --preset tiny --out "$tmp/a" --no-plots --threads 1 --set reference.epochs=1 --set joint.epochs=1
run 0 export "$tmp/a/model.safetensors" --output "$tmp/a.agn"
start_server

# interrupt SECONDS: SIGTERM to $run, which ends within so many seconds
interrupt() {
    signal TERM "$run" # as INT, which a shell's children in the background ignore
    await "$run" "$1" "the interrupted run"
    [ "$code" -eq 130 ] || die "the run ended with exit code $code after SIGTERM, expected 130"
    out_empty
    err_has "the run was interrupted after"
}

"$bin" run "$tmp/a.agn" --preset tiny --port "$port" --images 100000000 --deadline 10000 >"$tmp/out" 2>"$tmp/err" &
run=$!
wait_for 30 has_served 100
kib=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$run/status")
interrupt 10
[ "$kib" -lt 1000000 ] || die "a hundred images of a hundred million took $kib KiB"

# A server that the kernel takes datagrams for, and that never reads them.
is_unread() { awk -v port="$(printf ':%04X' "$port")" '$2 ~ port "$" && $5 !~ /:00000000$/ { found = 1 } END { exit !found }' /proc/net/udp*; }
kill -STOP "$server"
"$bin" run "$tmp/a.agn" --preset tiny --port "$port" --deadline 60000 >"$tmp/out" 2>"$tmp/err" &
run=$!
wait_for 30 is_unread
interrupt 20
kill -CONT "$server"
stop TERM 0
echo "interrupted runs: all as expected"
