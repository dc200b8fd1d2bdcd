# Sourced by check_monitor*.sh: a tiny model behind `agilenn serve --http`, and a device that asks it.
# shellcheck shell=sh

bin=${AGN_BIN:?path of agilenn}
tmp=${AGN_TEST_TMP:?a folder for this test}
LC_ALL=C
AGILENN_PRESETS=$tmp/presets
export LC_ALL AGILENN_PRESETS
server=
# shellcheck disable=SC2317
end_server() {
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
}
trap end_server EXIT
trap 'exit 130' INT TERM
# shellcheck source=tests/support/children.sh
. "$AGN_SOURCE_DIR/tests/support/children.sh"

die() {
    echo "FAILED: $*" >&2
    for file in "$tmp"/*.out "$tmp"/*.err; do
        [ ! -s "$file" ] || { echo "-- $file" && tail -n 30 "$file"; } >&2
    done
    exit 1
}

# shellcheck source=tests/support/tiny_set.sh
. "$AGN_SOURCE_DIR/tests/support/tiny_set.sh"

# make_model: trains $tmp/a/model.safetensors and exports $tmp/a.agn
make_model() {
    tiny_set "$tmp"
    "$bin" train --preset tiny --out "$tmp/a" --no-plots --threads 1 >"$tmp/train.out" 2>"$tmp/train.err" || die "training"
    "$bin" export "$tmp/a/model.safetensors" --output "$tmp/a.agn" >"$tmp/export.out" 2>"$tmp/export.err" || die "export"
}

# start_server: sets $server, $port and $url (of the page)
start_server() {
    : >"$tmp/serve.out"
    "$bin" serve "$tmp/a/model.safetensors" --port 0 --http 0 --accept-reports --json >"$tmp/serve.out" 2>"$tmp/serve.err" &
    server=$!
    for _ in $(seq 150); do
        port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$tmp/serve.out")
        url=$(sed -n 's|.*"http": "\(http://127.0.0.1:[0-9]*/\)".*|\1|p' "$tmp/serve.out")
        [ -z "$port" ] || [ -z "$url" ] || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    die "the server did not start"
}

# send_frames COUNT ARGUMENT...: through the server, all of them answered; leaves the device's figures in $tmp/run.out
send_frames() {
    count=$1
    shift
    "$bin" run "$tmp/a.agn" --preset tiny --port "$port" --images "$count" --deadline 10000 --json "$@" >"$tmp/run.out" \
        2>"$tmp/run.err" || die "run"
    grep -q "\"fused\": $count," "$tmp/run.out" || die "not every frame was answered"
}
