#!/bin/sh
# Looks for data races with ThreadSanitizer: the tests of everything with threads or sockets, then a real server under load.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/tsan.sh [--seconds N] [--build DIR] [TEST...]

Builds with ThreadSanitizer in DIR (default: build-tsan), runs the tests of server, swarm, monitor and clients, JOBS at
once (default: one a core), then for N seconds (default: 5) \`agilenn serve\` with several workers, its page and DTLS,
under the load of two swarms, while model and key file change. TEST is a name in tests/ without .c; tests named so are
run instead of all of this.
DIR/logs/ receives what the programs said. Exit code 1 if any race was found, or a test failed.

Examples:
  scripts/tsan.sh --seconds 60
  scripts/tsan.sh test_server_queue test_measure_run
END
}

seconds=5
build="build-tsan"
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
    --build) build=${2:?--build needs a folder} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "tsan.sh: unknown option $1; tsan.sh --help lists them" >&2 && exit 2 ;;
    *) break ;;
    esac
done
case $seconds in
'' | *[!0-9]* | 0) echo "tsan.sh: --seconds is a whole number of at least 1, not '$seconds'" >&2 && exit 2 ;;
esac
cd "$(dirname "$0")/.."
loaded=false
[ $# -gt 0 ] || {
    loaded=true
    # shellcheck disable=SC2046 # names without spaces
    set -- $(ls tests/test_server_*.c tests/test_swarm_*.c tests/test_monitor_*.c tests/test_client_*.c | sed 's,tests/\(.*\)\.c,\1,')
}
for test in "$@"; do
    [ -f "tests/$test.c" ] || { echo "tsan.sh: there is no test $test (tests/$test.c)" >&2 && exit 2; }
done
jobs=${JOBS:-$(nproc)}

mkdir -p "$build/logs"
build=$(cd "$build" && pwd)
bin=$build/agilenn
cmake -S . -B "$build" -DAGN_SANITIZE=thread -DAGN_WERROR=OFF -DCMAKE_BUILD_TYPE=RelWithDebInfo >"$build/logs/configure.txt" 2>&1 ||
    { cat "$build/logs/configure.txt" >&2 && exit 1; }
cmake --build "$build" -j"$jobs" --target agilenn "$@" >"$build/logs/build.txt" 2>&1 ||
    { tail -n 40 "$build/logs/build.txt" >&2 && exit 1; }
grep -q __tsan_init "$bin" || { echo "tsan.sh: $bin is built without ThreadSanitizer; delete $build and try again" >&2 && exit 1; }
"$bin" --version >/dev/null 2>"$build/logs/version.txt" || {
    cat "$build/logs/version.txt" >&2
    echo "tsan.sh: programs with ThreadSanitizer do not start here; for 'unexpected memory mapping' see sysctl vm.mmap_rnd_bits (28)" >&2
    exit 1
}

# -- tests; their environment names tests/support/tsan.supp
started=$(date +%s)
names=$(printf '%s|' "$@")
status=0
ctest --test-dir "$build" --output-on-failure -j"$jobs" -R "^(${names%|})\$" >"$build/logs/tests.txt" 2>&1 || status=$?
[ "$status" -eq 0 ] || {
    grep -v ' Passed ' "$build/logs/tests.txt" >&2
    echo "tsan.sh: a test failed or a race was found: see $build/logs/tests.txt" >&2
    exit 1
}
grep -q "100% tests passed, 0 tests failed out of $#\$" "$build/logs/tests.txt" ||
    { tail -n 20 "$build/logs/tests.txt" >&2 && echo "tsan.sh: not every one of $# tests was run" >&2 && exit 1; }
echo "tsan.sh: $# tests without a race ($(($(date +%s) - started)) s)"
$loaded || exit 0

# -- a server under load
tmp=$(mktemp -d "${TMPDIR:-/tmp}/agn-tsan.XXXXXX")
AGN_BIN=$bin AGN_TEST_TMP=$tmp AGN_SOURCE_DIR=$PWD
# shellcheck source=tests/support/tiny_set.sh
. tests/support/tiny_set.sh
trap 'end_children; rm -rf "$tmp"' EXIT
die() {
    tail -n 60 "$build/logs/serve.txt" "$build/logs/plain.txt" "$build/logs/secure.txt" >&2 2>/dev/null || true
    echo "tsan.sh: $*; see $build/logs" >&2
    exit 1
}
export OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive
export TSAN_OPTIONS="history_size=7:suppressions=$PWD/tests/support/tsan.supp"
rm -f "$build"/logs/serve.* "$build"/logs/plain.* "$build"/logs/secure.*
tiny_set "$tmp"
for model in a b; do
    seed=1 && [ "$model" = a ] || seed=2
    "$bin" train --preset tiny --out "$tmp/$model" --no-plots --threads 1 --seed "$seed" --set reference.epochs=1 \
        --set joint.epochs=1 >"$build/logs/train.txt" 2>&1 || { tail -n 60 "$build/logs/train.txt" >&2 && die "training failed or raced"; }
done
"$bin" export "$tmp/a/model.safetensors" --output "$tmp/a.agn" >"$build/logs/export.txt" 2>&1 || die "export failed"
"$bin" keys --output "$tmp/keys.psk" --devices 4 >"$build/logs/keys.txt" 2>&1 || die "keys failed"
cp "$tmp/a/model.safetensors" "$tmp/live.safetensors"
cp "$tmp/b/model.safetensors" "$tmp/other.safetensors"

"$bin" serve "$tmp/live.safetensors" --port 0 --dtls-port 0 --psk-file "$tmp/keys.psk" --http 0 --workers 2 --threads 2 --batch 8 \
    --queue 64 --json >"$build/logs/serve.json" 2>"$build/logs/serve.txt" &
server=$!
wait_until 30 holds_text "$build/logs/serve.json" listening || die "the server did not start"
port=$(value port "$build/logs/serve.json")
dtls_port=$(value dtls_port "$build/logs/serve.json")
url=$(value http "$build/logs/serve.json")
[ -n "$port" ] && [ -n "$dtls_port" ] && [ -n "$url" ] || die "the server did not start"
started=$(date +%s)
# The limits are no goal: too much load makes the server refuse and drop, which is part of what is looked at.
"$bin" swarm "$tmp/a.agn" --preset tiny --port "$port" --devices 50 --rate 1000 --duration "$seconds" --no-pause --json \
    >"$build/logs/plain.json" 2>"$build/logs/plain.txt" &
plain=$!
"$bin" swarm "$tmp/a.agn" --preset tiny --port "$dtls_port" --psk-file "$tmp/keys.psk" --devices 8 --rate 50 \
    --duration "$seconds" --json >"$build/logs/secure.json" 2>"$build/logs/secure.txt" &
secure=$!
turn=0
until has_ended "$plain" && has_ended "$secure"; do
    turn=$((turn + 1))
    # Every fourth second the other model, for one.
    live=a && [ $((turn % 8)) -lt 6 ] || live=b
    cp "$tmp/$live/model.safetensors" "$tmp/next" && mv "$tmp/next" "$tmp/live.safetensors"
    touch "$tmp/keys.psk"
    kill -HUP "$server" || die "the server is gone"
    if command -v curl >/dev/null; then
        for page in metrics healthz status.json; do
            curl --silent --max-time 10 --output /dev/null "$url$page" || die "no answer from $url$page"
        done
    fi
    sleep 0.5
done
await "$plain" 60 "the plain swarm"
plain=
[ "$code" -eq 0 ] || die "the plain swarm ended with exit code $code"
await "$secure" 60 "the swarm with DTLS"
secure=
[ "$code" -eq 0 ] || die "the swarm with DTLS ended with exit code $code"
signal TERM "$server"
await "$server" 60 "the server"
server=
[ "$code" -eq 0 ] || die "the server ended with exit code $code"
! grep -q "WARNING: ThreadSanitizer" "$build"/logs/*.txt || die "a race was found"
for load in plain secure; do
    [ "$(figure answered "$build/logs/$load.json")" -gt 0 ] || die "no frame of the $load swarm was answered"
done
[ "$(figure reloads "$build/logs/serve.json")" -gt 0 ] || die "the model was not changed"
echo "tsan.sh: a server without a race ($(($(date +%s) - started)) s): $(figure frames "$build/logs/serve.json") frames," \
    "$(figure inferences "$build/logs/serve.json") inferences, $(figure reloads "$build/logs/serve.json") changes of the model"
