#!/bin/sh
# libcoap's own client against `agilenn serve`, plain and by DTLS: what docs/PROTOCOL.md promises to anybody. With
# another implementation of DTLS, too (OpenSSL). And what may be seen of keys from outside: nothing.
set -eu
# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"
need coap-client-notls

# ---- a packet that a device would send, and a reader of the reply -----------------------------

make_packet() {
    dd if="$tmp/set/t10k-images-idx3-ubyte" of="$tmp/frames.raw" bs=16 skip=1 count=9 2>/dev/null
    cc -std=gnu11 -O1 -I"$root/firmware" -I"$root/wire" -I"$root/device" -DAPP_MODEL="\"$tmp/a.agn\"" \
        -DAPP_FRAMES="\"$tmp/frames.raw\"" "$root"/wire/*.c "$root"/device/*.c "$root/firmware/boards/host/board.c" \
        "$root/firmware/apps/frame.c" "$root/firmware/apps/frames.c" "$root/firmware/apps/data.S" -o "$tmp/device" \
        -z noexecstack || die "the device's build"
    "$tmp/device" 2>"$tmp/device.out" || die "the device's run"
    [ "$(grep -c '^packet,' "$tmp/device.out")" -eq 1 ] || die "the frame should take one packet"
    cat >"$tmp/tool.c" <<'C'
#include <stdio.h>
#include "agn_wire.h"
static int read_reply(void)
{
    unsigned char bytes[4096];
    struct agn_reply_packet reply;
    int status = agn_reply_unpack(bytes, fread(bytes, 1, sizeof bytes, stdin), &reply);
    if (status < 0)
        return 1;
    printf("status %u classes %u missing %u\n", reply.status, reply.class_count, reply.channels_missing);
    return 0;
}
int main(int argc, char **argv)
{
    unsigned byte;
    (void)argv;
    if (argc == 1)
        return read_reply();
    while (scanf("%2x", &byte) == 1) /* any argument: hexadecimal digits to bytes */
        putchar((int)byte);
    return 0;
}
C
    cc -std=c11 -I"$root/wire" "$tmp/tool.c" "$root"/wire/*.c -o "$tmp/tool" || die "the tool's build"
    sed -n 's/^packet,//p' "$tmp/device.out" | "$tmp/tool" hex >"$tmp/packet"
}

# ---- asking --------------------------------------------------------------------------------------

# ask CLIENT ARGUMENT...: leaves the answer in $tmp/answer, what the client says in $tmp/client.out
ask() {
    client=$1
    shift
    rm -f "$tmp/answer"
    timeout 20 "coap-client-$client" -B 5 -o "$tmp/answer" "$@" >"$tmp/client.out" 2>&1 || die "coap-client-$client $*"
}
# refused_with TEXT CLIENT ARGUMENT...
refused_with() {
    text=$1
    shift
    ask "$@"
    grep -qF -e "$text" "$tmp/client.out" "$tmp/answer" 2>/dev/null || die "$*: expected '$text'"
}

# conversation CLIENT URL [ARGUMENT...]: all that a client may want
conversation() {
    client=$1
    url=$2
    shift 2
    ask "$client" "$@" "$url/.well-known/core"
    grep -q '^</v1/infer>.*,</v1/models>.*ct=50$' "$tmp/answer" || die "$client: no links at $url"
    ask "$client" "$@" "$url/v1/models"
    grep -q "^{\"protocol\":1,\"protocols\":\[1,2\],\"models\":\[{\"id\":\"$model\",.*}\]}\$" "$tmp/answer" || die "$client: no models at $url"
    for kind in "" -N; do # confirmable, and not
        # shellcheck disable=SC2086
        ask "$client" "$@" $kind -m post -f "$tmp/packet" "$url/v1/infer"
        [ "$("$tmp/tool" <"$tmp/answer")" = "status 0 classes 4 missing 0" ] || die "$client: no reply at $url"
    done
    head -c 30 "$tmp/packet" >"$tmp/cut"
    refused_with "4.00 checksum mismatch" "$client" "$@" -m post -f "$tmp/cut" "$url/v1/infer"
    refused_with "4.00 not a feature packet" "$client" "$@" -m post -e "hello" "$url/v1/infer"
    refused_with "4.00" "$client" "$@" -m post "$url/v1/infer"
    refused_with "4.04" "$client" "$@" "$url/v2/infer"
    refused_with "4.05" "$client" "$@" "$url/v1/infer"
    refused_with "4.05" "$client" "$@" -m put -e x "$url/v1/models"
    refused_with "4.13 Block1 is not supported" "$client" "$@" -b 1024 -m post -f "$tmp/large" "$url/v1/infer"
    head -c 1024 "$tmp/large" >"$tmp/whole" # as docs/PROTOCOL.md says, in one datagram
    refused_with "4.00" "$client" "$@" -m post -f "$tmp/whole" "$url/v1/infer"
}

# silent CLIENT ARGUMENT...: no answer but, at most, an error of the handshake
silent() {
    client=$1
    shift
    rm -f "$tmp/answer"
    timeout 20 "coap-client-$client" -B 2 -o "$tmp/answer" "$@" >"$tmp/client.out" 2>&1 || true
    [ ! -s "$tmp/answer" ] || die "coap-client-$client got an answer that it must not have"
}

# ---- the server, with keys ---------------------------------------------------------------------------

make_model
make_packet
head -c 3000 /dev/zero >"$tmp/large"
"$bin" keys --output "$tmp/devices.psk" --devices 2 --prefix cam 2>"$tmp/keys.out" || die "keys"
key=$(sed -n 's/^cam-000001://p' "$tmp/devices.psk")
other=$(sed -n 's/^cam-000002://p' "$tmp/devices.psk")
binary() { # as text that a shell can hand on: libcoap's client takes a key as characters
    printf 'cam-text:%s\n' "$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n')" >>"$tmp/devices.psk"
}
binary "correct horse battery"
chmod 640 "$tmp/devices.psk"
run 1 serve "$tmp/a/model.safetensors" --port 0 --psk-file "$tmp/devices.psk"
grep -q "mode 0640.*chmod 600" "$tmp/err" || die "no advice on the key file's mode"
mv "$tmp/err" "$tmp/bad.err"
chmod 600 "$tmp/devices.psk"

start "$tmp/a/model.safetensors" --port 0 --http 0 --dtls-port 0 --psk-file "$tmp/devices.psk" --log text --verbose
dtls_port=$(value dtls_port "$tmp/serve.out")
http=$url
model=$(value model_id "$tmp/serve.out")

conversation notls "coap://127.0.0.1:$port"
for client in gnutls openssl; do
    command -v "coap-client-$client" >/dev/null || continue
    conversation "$client" "coaps://127.0.0.1:$dtls_port" -u cam-text -k "correct horse battery"
    silent "$client" -u nobody -k "correct horse battery" "coaps://127.0.0.1:$dtls_port/v1/models"
    silent "$client" -u cam-text -k "wrong horse battery!!" "coaps://127.0.0.1:$dtls_port/v1/models"
done
silent notls "coap://127.0.0.1:$dtls_port/v1/models"

# ---- our own device, and keys that change -------------------------------------------------------------

device() {
    "$bin" run "$tmp/a.agn" --preset tiny --port "$dtls_port" --images 20 --deadline 5000 --psk-file "$tmp/devices.psk" \
        --psk-identity "$1" --json >"$tmp/run.out" 2>"$tmp/run.err"
}
device cam-000001 || die "run by DTLS"
[ "$(figure fused "$tmp/run.out")" = 20 ] || die "not every frame was answered by DTLS"
cp "$tmp/devices.psk" "$tmp/before.psk"
sed '/^cam-000002/d' "$tmp/before.psk" >"$tmp/devices.psk"
signal HUP "$server"
logged 'reload: keys of 2 devices'
sed '/^cam-000001/d' "$tmp/before.psk" >"$tmp/devices.psk" # found without a signal
reloaded_twice() { [ "$(grep -c 'reload: keys of 2 devices' "$tmp/serve.err")" -ge 2 ]; }
wait_for 20 reloaded_twice
device cam-000002 || die "run with a new key"
[ "$(figure fused "$tmp/run.out")" = 20 ] || die "the changed key file was not found"

# ---- secrets -------------------------------------------------------------------------------------------

if command -v curl >/dev/null; then
    for page in metrics status.json healthz ""; do
        curl --silent --max-time 10 "$http$page" >>"$tmp/http.out" || die "GET /$page"
    done
    grep -q '^agilenn_frames_total' "$tmp/http.out" || die "no metrics"
fi
tr '\0' ' ' <"/proc/$server/cmdline" >"$tmp/cmdline.out"
stop TERM 0
for word in "$key" "$other" "correct horse" 636f7272656374; do
    for file in http cmdline serve keys run bad device; do
        for end in out err; do
            [ ! -f "$tmp/$file.$end" ] || ! grep -qiF -e "$word" "$tmp/$file.$end" || die "a key shows in $file.$end"
        done
    done
done
grep -q '"dtls_unknown": [1-9]' "$tmp/serve.out" || die "unknown identities were not counted"
grep -q '"dtls_failed": [1-9]' "$tmp/serve.out" || die "wrong keys were not counted"
