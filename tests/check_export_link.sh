#!/bin/sh
# A folder of `agilenn export --c-source`, compiled as a device with sockets: every frame through a real server, with the
# classes of `agilenn run`; alone when the server is gone, or has another model.
set -eu
# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"
frames=64

make_model
"$bin" export "$tmp/a/model.safetensors" --output "$tmp/a.agn" --c-source "$tmp/c" >/dev/null 2>"$tmp/export.err" || die "export"
make -s -C "$tmp/c" udp >"$tmp/make.out" 2>&1 || die "the folder's build"
dd if="$tmp/set/t10k-images-idx3-ubyte" of="$tmp/frames.raw" bs=16 skip=1 count=$((frames * 9)) 2>/dev/null
start_server
send_frames $frames --predictions "$tmp/host.csv"

"$tmp/c/udp" 127.0.0.1 "$port" <"$tmp/frames.raw" >"$tmp/udp.out" || die "the exported device"
[ "$(wc -l <"$tmp/udp.out")" -eq $frames ] || die "$(wc -l <"$tmp/udp.out") predictions"
fused=$(grep -c fused "$tmp/udp.out")
[ "$fused" -ge $((frames - 1)) ] || die "$fused of $frames frames fused"
awk -F, 'NR > 1 { print $3 }' "$tmp/host.csv" >"$tmp/want"
paste -d' ' "$tmp/udp.out" "$tmp/want" | awk '$2 == "fused" && $1 != $3 { n++ } END { exit n > 0 }' ||
    die "other classes than agilenn run's"

# Another model than the server's: the device's own answers, and no waiting for the deadline.
"$bin" export --preset tiny --output "$tmp/b.agn" --c-source "$tmp/b" >/dev/null 2>"$tmp/export.err" || die "export"
make -s -C "$tmp/b" udp >"$tmp/make.out" 2>&1 || die "the folder's build"
begin=$(date +%s)
"$tmp/b/udp" 127.0.0.1 "$port" <"$tmp/frames.raw" >"$tmp/other.out" || die "a device with another model"
[ "$(grep -c local "$tmp/other.out")" -eq $frames ] || die "answers of a server with another model"
[ $(($(date +%s) - begin)) -le 8 ] || die "each frame waits for a server that has refused it"

# No server any more.
kill "$server"
wait "$server" || true
server=
head -c 1440 "$tmp/frames.raw" | "$tmp/c/udp" 127.0.0.1 "$port" >"$tmp/alone.out" || die "a device alone"
[ "$(grep -c local "$tmp/alone.out")" -eq 10 ] || die "10 frames without a server: $(cat "$tmp/alone.out")"
code=0
"$tmp/c/udp" no.such.host.invalid <"$tmp/frames.raw" >"$tmp/nobody.out" 2>&1 || code=$?
[ $code -eq 1 ] && grep -q 'is not found' "$tmp/nobody.out" || die "a host that is not there: $code"
echo "$fused of $frames frames fused by an exported device"
