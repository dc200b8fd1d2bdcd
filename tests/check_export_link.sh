#!/bin/sh
# A folder of `agilenn export --c-source`, compiled as a device with sockets and as one behind a serial WiFi modem: every
# frame through a real server, with the classes of `agilenn run`; alone when the server is gone, has another model, or
# is of another version.
set -eu
# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"
frames=64
# predicts WHAT FILE: all but at most one of the frames fused, with the classes of agilenn run.
predicts() {
    [ "$(wc -l <"$2")" -eq $frames ] || die "$1: $(wc -l <"$2") predictions"
    fused=$(grep -c fused "$2")
    [ "$fused" -ge $((frames - 1)) ] || die "$1: $fused of $frames frames fused"
    paste -d' ' "$2" "$tmp/want" | awk '$2 == "fused" && $1 != $3 { n++ } END { exit n > 0 }' ||
        die "$1: other classes than agilenn run's"
    echo "$1: $fused of $frames frames fused by an exported device"
}
# fails WITH TEXT COMMAND...: an exit code, and one line that holds TEXT.
fails() {
    want=$1 text=$2 code=0
    shift 2
    "$@" <"$tmp/frames.raw" >"$tmp/nobody.out" 2>&1 || code=$?
    [ $code -eq "$want" ] && [ "$(wc -l <"$tmp/nobody.out")" -eq 1 ] && grep -q "$text" "$tmp/nobody.out" ||
        die "$*: exit code $code: $(cat "$tmp/nobody.out")"
}

make_model
"$bin" export "$tmp/a/model.safetensors" --output "$tmp/a.agn" --c-source "$tmp/c" >/dev/null 2>"$tmp/export.err" || die "export"
make -s -C "$tmp/c" udp modem >"$tmp/make.out" 2>&1 || die "the folder's build"
dd if="$tmp/set/t10k-images-idx3-ubyte" of="$tmp/frames.raw" bs=16 skip=1 count=$((frames * 9)) 2>/dev/null
start_server
send_frames $frames --predictions "$tmp/host.csv"
awk -F, 'NR > 1 { print $3 }' "$tmp/host.csv" >"$tmp/want"

"$tmp/c/udp" 127.0.0.1 "$port" <"$tmp/frames.raw" >"$tmp/udp.out" || die "the exported device"
predicts sockets "$tmp/udp.out"

# Behind a modem, whose network wants a name and a password with all that AT commands escape.
password='s "e,c\ret'
"$bin" modem --pty "$tmp/tty" --server "127.0.0.1:$port" --ssid home --password "$password" --boot 20 \
    >"$tmp/modem.json" 2>"$tmp/modem.err" &
modem=$!
wait_for 20 test -e "$tmp/tty"
AGN_WIFI_NAME=home AGN_WIFI_PASSWORD=$password "$tmp/c/modem" "$tmp/tty" 192.0.2.1 5683 921600 <"$tmp/frames.raw" \
    >"$tmp/serial.out" 2>"$tmp/serial.err" || die "the exported device behind a modem"
signal INT "$modem"
await "$modem" 30 "the modem"
predicts "a serial modem" "$tmp/serial.out"
[ ! -s "$tmp/serial.err" ] || die "the device behind a modem complains"
sent=$(sed -n 's/^ *"up": \([0-9]*\),*$/\1/p' "$tmp/modem.json")
[ "$sent" -ge $((frames - 1)) ] || die "$sent datagrams through the modem"
fails 1 'is no serial line' "$tmp/c/modem" "$tmp/frames.raw" 192.0.2.1
fails 1 'cannot be opened' "$tmp/c/modem" "$tmp/none" 192.0.2.1
fails 1 'does not know such a speed' "$tmp/c/modem" "$tmp/none" 192.0.2.1 5683 12345
fails 2 usage "$tmp/c/modem" "$tmp/none" 192.0.2.1 70000

# A device of another version of the protocol, which is what a server of another version is to it.
cp -r "$tmp/c" "$tmp/v"
sed -i 's/AGN_WIRE_VERSION = 1,/AGN_WIRE_VERSION = 3,/' "$tmp/v/runtime/agn_wire.h"
make -s -C "$tmp/v" clean udp >"$tmp/make.out" 2>&1 || die "the folder of another version"
"$tmp/v/udp" 127.0.0.1 "$port" <"$tmp/frames.raw" >"$tmp/version.out" 2>"$tmp/version.err" || die "a device of another version"
[ "$(grep -c local "$tmp/version.out")" -eq $frames ] || die "answers of a server of another version"
[ "$(cat "$tmp/version.err")" = "the server speaks version 1 of the protocol, this device version 3" ] ||
    die "a server of another version"
grep -q 'speaks version 3 of the protocol' "$tmp/serve.err" || die "the server's word about versions"

# Another model than the server's: the device's own answers, and no waiting for the deadline.
"$bin" export --preset tiny --output "$tmp/b.agn" --c-source "$tmp/b" >/dev/null 2>"$tmp/export.err" || die "export"
make -s -C "$tmp/b" udp >"$tmp/make.out" 2>&1 || die "the folder's build"
begin=$(date +%s)
"$tmp/b/udp" 127.0.0.1 "$port" <"$tmp/frames.raw" >"$tmp/other.out" || die "a device with another model"
[ "$(grep -c local "$tmp/other.out")" -eq $frames ] || die "answers of a server with another model"
[ $(($(date +%s) - begin)) -le 8 ] || die "each frame waits for a server that has refused it"

# No server any more.
stop TERM 0
head -c 1440 "$tmp/frames.raw" | "$tmp/c/udp" 127.0.0.1 "$port" >"$tmp/alone.out" || die "a device alone"
[ "$(grep -c local "$tmp/alone.out")" -eq 10 ] || die "10 frames without a server: $(cat "$tmp/alone.out")"
fails 1 'is not found' "$tmp/c/udp" no.such.host.invalid
