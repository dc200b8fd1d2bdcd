# Sourced by check_*.sh: a tiny model behind `agilenn serve --http`, and a device that asks it.
# shellcheck shell=sh

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"

# make_model: $tmp/a/model.safetensors and $tmp/a.agn
make_model() {
    tiny_set "$tmp"
    tiny_model a
}

# start_server: its page is at $url
start_server() { start "$tmp/a/model.safetensors" --port 0 --http 0 --accept-reports; }

# send_frames COUNT ARGUMENT...: through the server, all of them answered; leaves the device's figures in $tmp/run.out
send_frames() {
    count=$1
    shift
    "$bin" run "$tmp/a.agn" --preset tiny --port "$port" --images "$count" --deadline 10000 --json "$@" >"$tmp/run.out" \
        2>"$tmp/run.err" || die "run"
    [ "$(figure fused "$tmp/run.out")" = "$count" ] || die "not every frame was answered"
}
