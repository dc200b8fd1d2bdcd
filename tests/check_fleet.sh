#!/bin/sh
# `agilenn serve` as a service: several models from a settings file, reload under load, corrupt and missing files,
# death and return, drain, overload, and the unit that starts it.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
runner=
start() { start_as serve "$@" --log json; }

# device MODEL IMAGES DEADLINE ARGUMENT...: starts one in the background; finished: waits for it; end_device: ends it
device() {
    model=$1 images=$2 deadline=$3
    shift 3
    "$bin" run "$model" --preset tiny --port "$port" --images "$images" --deadline "$deadline" "$@" --json >"$tmp/out" 2>"$tmp/err" &
    runner=$!
}
finished() {
    await "$runner" 60 "the device"
    runner=
    [ "$code" -eq 0 ] || die "the device ended with exit code $code"
    [ "$(figure predictions_lost "$tmp/out")" = 0 ] || die "predictions were lost"
}
end_device() {
    signal TERM "$runner"
    await "$runner" 20 "the device"
    runner=
    [ "$code" -eq 130 ] || die "the device ended with exit code $code after SIGTERM, expected 130"
}

tiny_set "$tmp"
tiny_model a --set joint.epochs=1
tiny_model b --seed 2 --set joint.epochs=1
a=$tmp/a/model.safetensors
b=$tmp/b/model.safetensors

# -- the settings file, and what is wrong with one
cat >"$tmp/server.conf" <<END
[server]
port = 0
drain_ms = 3000
[models]
model = $a
model = $b
[inference]
workers = 2
threads = 1
batch = 8
END
# wrong LINE EXPECTED_TEXT: a line that makes the file unusable
wrong() {
    printf '%s\n' "$1" | cat "$tmp/server.conf" - >"$tmp/wrong.conf"
    run 1 serve --config "$tmp/wrong.conf"
    grep -qF -e "wrong.conf:11: $2" "$tmp/err" || die "'$1': stderr lacks '$2'"
}
wrong 'batch = 0' 'batch = 0: expected 1 to 256'
wrong 'batch = 8x' 'batch = 8x: expected 1 to 256'
wrong 'int8 = 1' 'int8 = 1: expected yes or no'
wrong 'colour = red' 'unknown setting colour in section [inference]'
wrong 'nonsense' 'expected [section] or key = value'
# A value that would be cut, and one that ends the file, are said to be so.
wrong "# $(printf '%0197d' 0)" 'longer than 198 bytes'
wrong "model = $(printf '/%0200d' 0).safetensors" 'longer than 198 bytes'
printf '%s\nthr\000eads = 1\n' "# $(printf '%0196d' 0)" | cat "$tmp/server.conf" - >"$tmp/wrong.conf"
run 1 serve --config "$tmp/wrong.conf"
grep -qF "wrong.conf:12: a zero byte" "$tmp/err" || die "a zero byte in the settings is not refused"
run 1 serve --config "$tmp/none.conf"
grep -qF "$tmp/none.conf" "$tmp/err" || die "the missing file is not named"
run 2 serve
run 1 serve "$a" "$a" --port 0
grep -qF "serve each once" "$tmp/err" || die "a model given twice is not refused"

# -- an IPv6 address is told as links have it
if [ -r /proc/net/if_inet6 ] && grep -q '^0\{31\}1 ' /proc/net/if_inet6; then
    "$bin" serve "$a" --address ::1 --port 0 --threads 1 >"$tmp/serve.out" 2>"$tmp/serve.err" &
    server=$!
    wait_for 20 holds_text "$tmp/serve.out" 'Ctrl-C ends'
    grep -q '^at coap://\[::1\]:[0-9]*/v1/infer; ' "$tmp/serve.out" || die "the address ::1 is not told with brackets"
    stop TERM 0
fi

# -- two models at once
start --config "$tmp/server.conf"
[ "$(grep -o '"models": \[[^]]*' "$tmp/serve.out" | grep -o '"[0-9a-f]\{8\}"' | wc -l)" -eq 2 ] || die "two models are not served"
logged '"event":"start"'
for model in a b; do
    run 0 run "$tmp/$model.agn" --preset tiny --port "$port" --deadline 10000 --json
    [ "$(figure fused "$tmp/out")" = 64 ] || die "model $model was not served"
done
stop TERM 0
logged '"event":"drain"'
logged 'a frame alone takes'
[ "$(figure replies "$tmp/end")" = 128 ] || die "not every frame had a reply"

# -- a reload that is asked for while it starts does not end it
mkfifo "$tmp/slow.conf"
: >"$tmp/serve.out"
: >"$tmp/serve.err"
"$bin" serve --config "$tmp/slow.conf" --json --log json >"$tmp/serve.out" 2>"$tmp/serve.err" &
server=$!
exec 3<>"$tmp/slow.conf"
has_open() { readlink "/proc/$1/fd/"* 2>/dev/null | grep -qF "$2"; }
wait_for 20 has_open "$server" slow.conf
signal HUP "$server"
cat "$tmp/server.conf" >&3
exec 3>&-
logged '"event":"start"'
# -- and neither does a reader of its log that ends first
mkfifo "$tmp/log"
stop TERM 0
head -n 1 "$tmp/log" >"$tmp/first" &
reader=$!
"$bin" serve --config "$tmp/server.conf" --json --log json >"$tmp/serve.out" 2>"$tmp/log" &
server=$!
await "$reader" 20 "the reader of the log"
wait_for 20 holds_text "$tmp/serve.out" listening
stop TERM 0 # what it says of draining meets a closed pipe
[ "$(figure frames "$tmp/end")" = 0 ] || die "a server whose log nobody reads has no counts at its end"
if [ -w /dev/full ]; then
    code=0
    "$bin" serve --config "$tmp/server.conf" >/dev/full 2>"$tmp/err" || code=$?
    [ "$code" -eq 1 ] || die "a server that cannot say where it listens: exit code $code, expected 1"
    grep -qF "cannot write to standard output" "$tmp/err" || die "no word of the full disk"
fi

# -- replaced while a device works: no frame loses its answer
cp "$a" "$tmp/live.safetensors"
cp "$b" "$tmp/other.safetensors"
start "$tmp/live.safetensors" "$tmp/other.safetensors" --port 0 --workers 2 --threads 1
device "$tmp/a.agn" 6000 10000
for _ in 1 2 3 4 5; do
    signal HUP "$server"
    sleep 0.2 # of frames between two reloads
done
rm "$tmp/other.safetensors" # in its place soon another one, first cut short, then whole
head -c 3000 "$b" >"$tmp/other.safetensors"
logged '"level":"error","event":"reload"'
cp "$b" "$tmp/other.safetensors"
finished
[ "$(figure fused "$tmp/out")" = 6000 ] || die "$(figure fused "$tmp/out") of 6000 frames were fused while models were replaced"
run 0 run "$tmp/b.agn" --preset tiny --port "$port" --deadline 10000 --json
[ "$(figure fused "$tmp/out")" = 64 ] || die "the model whose file was corrupt for a while is not served"
# One model takes another's place.
mv "$tmp/other.safetensors" "$tmp/aside"
tiny_model c --seed 3 --set joint.epochs=1
cp "$tmp/c/model.safetensors" "$tmp/other.safetensors"
logged '1 of them new, 1 gone'
run 0 run "$tmp/c.agn" --preset tiny --port "$port" --deadline 10000 --json
[ "$(figure fused "$tmp/out")" = 64 ] || die "the new model is not served"
run 1 run "$tmp/b.agn" --preset tiny --port "$port" --images 5 --deadline 10000
grep -qF "holds another model" "$tmp/err" || die "the model that went is not refused"
stop TERM 0
holds "$(figure reloads "$tmp/end") >= 2 && $(figure reload_failures "$tmp/end") >= 1"
holds "$(figure refused_busy "$tmp/end") == 0 && $(figure evicted "$tmp/end") == 0"
! grep -qvE '^\{"time":"[^"]*","level":"[a-z]*",.*\}$' "$tmp/serve.err" || die "a line of the log is no JSON object"

# -- killed, gone for a while, started again at the same port: the device falls back and comes back by itself
# A closed port is known at once, and local predictions take microseconds: the device is held while no server is there,
# but for a moment, or it would be through before the next one has come.
start "$a" --port 0 --threads 1
device "$tmp/a.agn" 12000 300 --predictions "$tmp/predictions.csv"
wait_for 20 has_bytes "$tmp/predictions.csv"
signal STOP "$runner"
stop KILL 137
kill -CONT "$runner"
sleep 0.05 # of being alone
kill -STOP "$runner"
start "$a" --port "$port" --threads 1
kill -CONT "$runner"
finished
fused=$(figure fused "$tmp/out")
echo "of 12000 frames $fused were fused, $(figure refused "$tmp/out") refused, $(figure timeout "$tmp/out") late," \
    "$(figure skipped "$tmp/out") not sent"
[ "$(wc -l <"$tmp/predictions.csv")" -eq 12001 ] || die "not every frame has a prediction"
[ "$(awk -F, 'NR > 1 && ($1 != NR - 2 || $3 == "")' "$tmp/predictions.csv" | wc -l)" -eq 0 ] || die "a frame has no prediction"
stop TERM 0
holds "$(figure refused "$tmp/out") + $(figure timeout "$tmp/out") >= 3 && $(figure skipped "$tmp/out") > 0"
holds "$(figure replies "$tmp/end") > 500 && $(figure replies "$tmp/end") < $fused"

# -- told to end while a fleet sends: what is in hand is answered, the rest is refused, nothing is lost
start "$a" --port 0 --workers 1 --threads 1 --queue 2 --batch 1
"$bin" swarm "$tmp/a.agn" --preset tiny --port "$port" --devices 50 --rate 3000 --duration 2 --images 50 --json \
    >"$tmp/out" 2>"$tmp/err" &
runner=$!
sleep 1 # memory is what grows with time, or does not
before=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$server/status")
sleep 1.2
after=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$server/status")
# kB: the queue is bounded, and so is memory. AddressSanitizer keeps up to 256 MB of what was freed.
more=4096
! grep -q __asan_init "$bin" || more=300000
holds "$after <= $before + $more"
await "$runner" 60 "the swarm"
[ "$code" -eq 0 ] || die "the swarm failed"
runner=
[ "$(figure lost_predictions "$tmp/out")" = 0 ] || die "the swarm lost predictions"
holds "$(figure busy "$tmp/out") > 0 && $(figure answered "$tmp/out") > 100"
device "$tmp/a.agn" 10000000 300 --predictions "$tmp/endless.csv"
wait_for 20 has_bytes "$tmp/endless.csv"
stop TERM 0
end_device
holds "$(figure refused_busy "$tmp/end") > 0 && $(figure queue_peak "$tmp/end") <= 2"

# -- the unit and its sample settings
sed "s|/var/lib/agilenn/model.safetensors|$a|; s|^port = .*|port = 0|" "$root/packaging/agilenn-server.conf" >"$tmp/sample.conf"
start --config "$tmp/sample.conf"
stop TERM 0
if command -v systemd-analyze >/dev/null; then
    sed "s|^ExecStart=agilenn|ExecStart=$bin|" "$root/packaging/agilenn-server.service" >"$tmp/agilenn-server.service"
    systemd-analyze verify "$tmp/agilenn-server.service" >"$tmp/out" 2>"$tmp/err" || die "systemd refuses the unit"
    [ ! -s "$tmp/err" ] || die "systemd complains of the unit"
else
    echo "no systemd here: the unit was not checked"
fi

# -- its user, folders and keys as docs/SERVER.md makes them; models and keys replaced while it serves
etc=$tmp/system/etc/agilenn
lib=$tmp/system/var/lib/agilenn
# into_place FILE OWNER NAME: in one step, as the server may look at any moment
into_place() {
    install -m 400 -o "$2" -g "$2" "$1" "$3.new"
    mv "$3.new" "$3"
}
set_up_service() {
    mkdir -p "$etc" "$lib"
    cp "$a" "$lib/model.safetensors"
    sed "s|/var/lib/agilenn|$lib|; s|^address = .*|address = 127.0.0.1|; s|^port = .*|port = 0|
         s|^# psk_file = .*|psk_file = $etc/devices.psk|
         s|^# dtls_port = .*|dtls_port = 0|" "$root/packaging/agilenn-server.conf" >"$etc/server.conf"
    systemd-sysusers --root="$tmp/system" "$root/packaging/agilenn.sysusers" >"$tmp/out" 2>"$tmp/err" ||
        die "systemd refuses the user"
    uid=$(sed -n 's/^agilenn:x:\([0-9]*\):.*/\1/p' "$tmp/system/etc/passwd")
    run 0 keys --output "$tmp/two.psk" --devices 2
    run 0 keys --output "$tmp/three.psk" --devices 3
    cp "$tmp/two.psk" "$etc/devices.psk"
    systemd-tmpfiles --root="$tmp/system" --create "$root/packaging/agilenn.tmpfiles" >"$tmp/out" 2>"$tmp/err" ||
        die "systemd refuses the folders"
    [ "$(stat -c %a:%u "$etc/devices.psk" "$etc" "$lib" | tr '\n' ' ')" = "400:$uid 750:0 755:0 " ] ||
        die "folders or keys have wrong owners or modes"
    chmod 711 "$tmp"
    as="setpriv --reuid=$uid --regid=$uid --clear-groups"
}
check_service() {
    if [ "$(id -u)" != 0 ] || ! command -v systemd-sysusers >/dev/null || ! command -v setpriv >/dev/null; then
        echo "not root, or no systemd: the service's user was not checked"
        return
    fi
    set_up_service
    if ! $as test -x "$bin" || ! $as test -r "$lib/model.safetensors"; then
        echo "another user cannot reach $bin or $tmp: the service was not run as one"
        return
    fi
    start --config "$etc/server.conf"
    ! $as test -w "$etc/server.conf" || die "the service may change its settings"
    into_place "$tmp/three.psk" "$uid" "$etc/devices.psk"
    cp "$b" "$lib/model.new"
    mv "$lib/model.new" "$lib/model.safetensors"
    signal HUP "$server" # as ExecReload does
    logged 'keys of 3 devices'
    logged '1 of them new, 1 gone'
    into_place "$tmp/two.psk" 0 "$etc/devices.psk" # which it cannot read
    signal HUP "$server"
    logged '"level":"error","event":"reload"'
    stop TERM 0
    [ "$(figure keys "$tmp/end")" = 3 ] || die "a key file that cannot be read took the keys away"
}
check_service
as=
echo "a fleet's server: all as expected"
