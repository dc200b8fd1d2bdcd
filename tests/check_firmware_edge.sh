#!/bin/sh
# The whole chain: firmware on an emulated Cortex-M7, a modem on its serial line, UDP, the server. Without faults every
# frame is fused, as on this machine; with lost bytes and packets every frame still has a prediction, and those
# that are not fused are the local ones. Exit code 77: no cross-compiler or no QEMU (skipped).
set -eu

bin=${AGN_BIN:?path of agilenn}
tmp=${AGN_TEST_TMP:?a folder for this test}
root=${AGN_SOURCE_DIR:?the source folder}
LC_ALL=C
AGILENN_PRESETS=$tmp/presets
export LC_ALL AGILENN_PRESETS
server=
qemu=
# shellcheck disable=SC2317
end_children() {
    for child in $server $qemu; do
        kill "$child" 2>/dev/null || true
    done
}
trap end_children EXIT
trap 'exit 130' INT TERM

for tool in arm-none-eabi-gcc qemu-system-arm; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "skipped: $tool is not installed (Debian packages gcc-arm-none-eabi, libnewlib-arm-none-eabi, qemu-system-arm)"
        exit 77
    fi
done

die() {
    echo "FAILED: $*" >&2
    tail -n 12 "$tmp"/*.err "$tmp"/out.txt >&2 || true
    exit 1
}
firmware() {
    make -s -C "$root/firmware" APP=edge OUT="$tmp/firmware" MODEL="$tmp/model.agn" FRAMES="$tmp/frames.raw" "$@"
}

# shellcheck source=tests/support/tiny_set.sh
. "$root/tests/support/tiny_set.sh"
tiny_set "$tmp"
make_idx "$tmp/set" t10k 112
"$bin" train --preset tiny --threads 1 --no-plots --out "$tmp/tiny" >/dev/null 2>"$tmp/train.err" || die "train"
"$bin" export "$tmp/tiny/model.safetensors" --output "$tmp/model.agn" >/dev/null || die "export"
dd if="$tmp/set/t10k-images-idx3-ubyte" of="$tmp/frames.raw" bs=16 skip=1 2>/dev/null # 112 frames
firmware >/dev/null || die "the firmware's build"

"$bin" serve "$tmp/tiny/model.safetensors" --port 0 --threads 1 --json >"$tmp/serve.json" 2>"$tmp/serve.err" &
server=$!
port=
for _ in $(seq 300); do
    port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$tmp/serve.json")
    [ -z "$port" ] || break
    sleep 0.1
done
[ -n "$port" ] || die "the server did not start"
"$bin" run "$tmp/model.agn" --preset tiny --port "$port" --json >"$tmp/run.json" 2>"$tmp/run.err" || die "run"

# chain NAME MODEM_OPTION...: out.txt has a line a frame, and the counts
chain() {
    name=$1
    shift
    rm -f "$tmp/uart"
    firmware run-modem MODEM="$tmp/uart" >"$tmp/qemu.err" 2>"$tmp/out.txt" &
    qemu=$!
    "$bin" modem --connect "$tmp/uart" --server "127.0.0.1:$port" "$@" >"$tmp/modem.json" 2>"$tmp/modem.err" ||
        die "$name: modem"
    code=0
    wait "$qemu" || code=$?
    qemu=
    [ "$code" -eq 0 ] || die "$name: the firmware ended with $code"
    [ "$(count frames)" -eq 112 ] || die "$name: $(count frames) frames instead of 112"
    [ "$(grep -c -e '^fused,' -e '^local,' "$tmp/out.txt")" -eq 112 ] || die "$name: a frame has no prediction"
    [ "$(count stack)" -le 2048 ] || die "$name: the stack took $(count stack) bytes"
}
count() { sed -n "s/^$1,\([0-9]*\)\$/\1/p" "$tmp/out.txt"; }
# frames in the order of their class, 0 1 2 3 0 ...
right() { grep -e '^fused,' -e '^local,' "$tmp/out.txt" | awk -F, '$2 == (NR - 1) % 4 { n++ } END { print n + 0 }'; }

# The emulator runs in the host's time: where that stands still for a moment, the driver may lose patience.
chain "no faults"
[ "$(count answers)" -ge 106 ] || die "no faults: only $(count answers) of 112 frames had an answer"
[ "$(count replies_damaged)" -le 6 ] || die "no faults: $(count replies_damaged) damaged replies"
expected=$(sed -n 's/^ *"accuracy": \([0-9.]*\),*$/\1/p' "$tmp/run.json" | awk '{ print int($1 * 112 + 0.5) }')
[ "$(right)" -ge $((expected - 6)) ] || die "no faults: $(right) right, but $expected on this machine"
fine=$(count answers)

chain "faults" --uart-loss 0.3 --loss 10 --seed 3
[ "$(count answers)" -gt 0 ] || die "faults: not one answer"
[ "$(count answers)" -lt "$fine" ] || die "faults: as many answers as without"
echo "firmware, modem, server: $fine of 112 frames fused; with lost bytes and packets $(count answers), and none without a prediction"
