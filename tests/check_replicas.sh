#!/bin/sh
# Two replicas behind nginx's UDP proxy, set up as packaging/nginx-agilenn.conf has it: both work, and when one is
# killed and comes back no prediction is lost. Frames take two packets, whose way through the proxy must be one.
# Needs nginx with its stream module; 77 (skipped) without.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
PATH=$PATH:/usr/sbin:/sbin
module=/usr/lib/nginx/modules/ngx_stream_module.so
need nginx
[ -e "$module" ] || { echo "no $module (libnginx-mod-stream): skipped" && exit 77; }

# replica NAME PORT: starts one, sets $server and $port
replica() { start_as "$1" "$tmp/a/model.safetensors" --port "$2" --threads 1; }

# Datagrams of a session. A frame that begins in one session and ends in the next is two parts of a frame to the replica,
# which is why the sample has many; here a device has a new session every two seconds, so that it comes back to a
# replica that has returned, and in every second one of them a frame is torn, as the number is odd.
requests=$(sed -n 's/^ *proxy_requests \([0-9]*\);.*/\1/p' "$root/packaging/nginx-agilenn.conf")
test_requests=21
holds "${requests:-0} >= 2000"

# try PORT: nginx at this port in front of the replicas; 1 if the port is taken
try_nginx() {
    sed -e "s/127.0.0.1:5691/127.0.0.1:$port_one/; s/127.0.0.1:5692/127.0.0.1:$port_two/" \
        -e "s/listen 5683/listen 127.0.0.1:$1/; s#/run/nginx-agilenn.pid#$tmp/nginx.pid#" \
        -e "s/worker_processes auto/worker_processes 2/; s/65536/1024/; s/worker_rlimit_nofile 131072/worker_rlimit_nofile 4096/" \
        -e "s/fail_timeout=5s/fail_timeout=1s/; s/proxy_requests $requests;/proxy_requests $test_requests;/" \
        "$root/packaging/nginx-agilenn.conf" >"$tmp/nginx.conf"
    nginx -t -q -e stderr -p "$tmp" -c "$tmp/nginx.conf" 2>"$tmp/nginx.err" || return 1
    rm -f "$tmp/nginx.pid"
    nginx -e stderr -p "$tmp" -c "$tmp/nginx.conf" -g 'daemon off;' 2>"$tmp/nginx.err" &
    nginx=$!
    nginx_decided() { [ -s "$tmp/nginx.pid" ] || has_ended "$nginx"; }
    wait_for 10 nginx_decided
    [ -s "$tmp/nginx.pid" ]
}

tiny_set "$tmp"
tiny_model a --set "model.extractor=conv:c4 conv:c32" --set model.codec=raw3 --set joint.epochs=2
replica one 0
one=$server
port_one=$port
replica two 0
two=$server
port_two=$port
front=
for try in 1 2 3 4 5; do
    candidate=$((20000 + ($$ * 7 + try * 1013) % 12000))
    if try_nginx "$candidate"; then
        front=$candidate
        break
    fi
done
[ -n "$front" ] || die "nginx does not start"

# -- load through nginx; replica one is killed after 3 s and comes back 4 s later
"$bin" swarm "$tmp/a.agn" --preset tiny --port "$front" --devices 40 --rate 200 --duration 14 --deadline 300 --json \
    --csv "$tmp/seconds.csv" >"$tmp/out" 2>"$tmp/err" &
swarm=$!
sleep 3 # of the seconds that are counted below
kill -9 "$one"
await "$one" 10 "the killed replica"
sleep 4 # of them with one replica
replica one "$port_one"
one=$server
await "$swarm" 60 "the swarm"
[ "$code" -eq 0 ] || die "the swarm ended with exit code $code"

# -- no prediction lost, and answers again while the replica was still away and after it
holds "$(figure lost_predictions) == 0"
holds "$(figure answered) + $(figure fallbacks) == $(figure offered)"
holds "$(figure packets) == 2 * $(figure offered)"
holds "$(figure answered) > 0.7 * $(figure offered)"
holds "$(figure accuracy) >= $(figure local_accuracy) - 0.1"
share() { awk -F, -v from="$1" -v to="$2" 'NR > 1 && $1 >= from && $1 <= to { a += $3; f += $4 } END { print a / (a + f) }' "$tmp/seconds.csv"; }
holds "$(share 5 6) > 0.7"
holds "$(share 11 13) > 0.8"

# -- both replicas had their share, the killed one after its return, too
for replica in "$one" "$two"; do
    signal TERM "$replica"
    await "$replica" 20 "a replica"
    [ "$code" -eq 0 ] || die "a replica ended with exit code $code"
done
signal TERM "$nginx" # and its workers
await "$nginx" 10 "nginx"
frames_one=$(figure frames "$tmp/one.out")
frames_two=$(figure frames "$tmp/two.out")
# (packets - 1) / proxy_requests of the frames are torn, as docs/SCALING.md says; some more by the death of a replica.
torn=$(($(figure frames_partial "$tmp/one.out") + $(figure frames_partial "$tmp/two.out")))
complete=$(($(figure frames_complete "$tmp/one.out") + $(figure frames_complete "$tmp/two.out")))
holds "$torn / 2 > 0.3 * $complete / $test_requests && $torn / 2 < 2.5 * $complete / $test_requests"
holds "$frames_one > 20 && $frames_two > 500"
awk -F, 'NR > 1 { printf "second %2d: %3d answered, %3d fell back\n", $1, $3, $4 }' "$tmp/seconds.csv"
echo "replicas: $(figure fallbacks) of $(figure offered) frames fell back, none without a prediction;" \
    "$torn parts of frames beside $complete whole ones;" \
    "$frames_one frames at the replica after its return, $frames_two at the other"
