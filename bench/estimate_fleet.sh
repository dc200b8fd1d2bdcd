#!/bin/sh
# Size and cost of a fleet from measured figures (docs/SCALING.md). Every assumption is an environment variable.
# usage: [NAME=VALUE ...] bench/estimate_fleet.sh [DEVICES...]
set -eu

[ $# -gt 0 ] || set -- 10000 1000000
# Of the fleet
frames=${FRAMES_PER_DEVICE:-1}       # a second, mean over the day
peak=${PEAK:-3}                      # busiest moment to the mean
use=${UTILISATION:-0.5}              # of a core at the busiest moment: the rest is for latency and a dead replica
# Measured: bench/overload.sh, `agilenn swarm`
server_ms=${SERVER_CPU_MS:-0.15}     # CPU of a replica a frame
balancer_ms=${BALANCER_CPU_MS:-0.035} # CPU of nginx a frame
up=${BYTES_UP:-571}                  # a frame: CoAP message, 28 bytes of IP and UDP a packet
down=${BYTES_DOWN:-75}               # an answer: the same
base_mb=${REPLICA_MB:-40}            # of a replica's process
peer_kb=${PEER_KB:-0.5}              # of a remembered peer
session_kb=${SESSION_KB:-12}         # of a session in nginx with its sockets in the kernel
# Prices, in whatever currency
core_hour=${CORE_HOUR:-0.04}
gigabyte=${GIGABYTE_OUT:-0.05}       # of traffic out; traffic in is taken as free

for devices in "$@"; do
    awk -v n="$devices" -v f="$frames" -v peak="$peak" -v use="$use" -v s="$server_ms" -v b="$balancer_ms" -v up="$up" \
        -v down="$down" -v base="$base_mb" -v peer="$peer_kb" -v session="$session_kb" -v core="$core_hour" -v gb="$gigabyte" '
    function up_to(x) { return x > int(x) + 0.01 ? int(x) + 1 : int(x) }
    BEGIN {
        rate = n * f
        top = rate * peak
        servers = up_to(top * s / 1000 / use)
        balancers = up_to(top * b / 1000 / use)
        if (servers < 2) servers = 2      # one may die
        if (balancers < 2) balancers = 2
        hours = 30 * 24
        out = rate * down * hours * 3600 / 1e9
        printf "%d devices, %g frames/s each\n", n, f
        printf "  rate             %.0f frames/s in the mean, %.0f at the busiest\n", rate, top
        printf "  replicas         %d of one core\n", servers
        printf "  balancer         %d cores\n", balancers
        printf "  memory           %.1f GB of replicas, %.1f GB of balancer if all devices have a session\n", \
            (servers * base + n * peer / 1024) / 1024, n * session / 1024 / 1024
        printf "  network          %.1f Mbit/s in, %.1f Mbit/s out at the busiest\n", top * up * 8 / 1e6, top * down * 8 / 1e6
        printf "  a month          %.0f for cores, %.0f for %.0f GB out: %.5f a device\n", \
            (servers + balancers) * core * hours, out * gb, out, ((servers + balancers) * core * hours + out * gb) / n
    }'
done
