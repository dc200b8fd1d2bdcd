#!/bin/sh
# An exported folder as a device on real images, beside `agilenn run`. --help tells the rest.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/check-export-fashion.sh [--build DIR] [--frames N] [--modem "OPTIONS"] MODEL.safetensors

Exports MODEL (preset fashion) with DIR/agilenn (--build; default: build), compiles the folder with nothing but what is in it, and
lets it classify the first N (--frames; default: 1000) test images of Fashion-MNIST (Debian's dataset-fashion-mnist) through a server
on this machine: by examples/udp.c over a socket, and by examples/modem.c over a pseudo-terminal and \`agilenn modem\`. Prints how many
frames were fused and right. Exit code 1 where fewer than 99 of 100 are fused, or a class is not the one of \`agilenn run\`.

--modem: a line and a radio with such faults (agilenn modem --help), as "--loss 10 --uart-loss 0.1 --seed 3"; the server waits for 500 ms,
and whatever comes of the frames behind the modem is only printed.
END
}

build=build
frames=1000
model=
faults=
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:?--build needs a folder} && shift ;;
    --frames) frames=${2:?--frames needs a number} && shift ;;
    --modem) faults=${2:?--modem needs options of agilenn modem} && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "check-export-fashion.sh: unknown option $1; check-export-fashion.sh --help lists them" >&2 && exit 2 ;;
    *) model=$1 ;;
    esac
    shift
done
[ -n "$model" ] || { usage >&2 && exit 2; }
bin=$(realpath "$build")/agilenn
AGILENN_PRESETS=${AGILENN_PRESETS:-$(realpath "$(dirname "$0")/../presets")}
export AGILENN_PRESETS
set="/usr/share/datasets/fashion-mnist"
work=$(mktemp -d)
server=
modem=
# shellcheck disable=SC2317
clean_up() {
    for child in $server $modem; do kill "$child" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
die() {
    echo "FAILED: $*" >&2
    exit 1
}

"$bin" export "$model" --output "$work/model.agn" --c-source "$work/c" >/dev/null
make -s -C "$work/c" udp modem
gzip -dc "$set/t10k-images-idx3-ubyte.gz" | tail -c +17 | head -c $((frames * 784)) >"$work/frames.raw"
[ "$(wc -c <"$work/frames.raw")" -eq $((frames * 784)) ] || die "there are no $frames images in $set"

"$bin" serve "$model" --port 0 ${faults:+--wait 500} --json >"$work/serve.json" 2>"$work/serve.log" &
server=$!
port=
for _ in $(seq 300); do
    port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$work/serve.json")
    [ -z "$port" ] || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
[ -n "$port" ] || die "the server: $(cat "$work/serve.log")"

"$bin" run "$work/model.agn" --preset fashion --port "$port" --images "$frames" --predictions "$work/run.csv" >/dev/null 2>&1
# Label, class fused or local, class of the Local NN.
awk -F, 'NR > 1 { print $2, $3, $4, $5 }' "$work/run.csv" >"$work/run.txt"

# compare WHAT FILE: a fused frame beside run's prediction where that was fused, another beside the Local NN's.
compare() {
    [ "$(wc -l <"$2")" -eq "$frames" ] || die "$1: $(wc -l <"$2") predictions"
    paste -d' ' "$2" "$work/run.txt" | awk -v what="$1" -v frames="$frames" '
        { fused = $2 == "fused"; all += fused; right += $1 == $3; host += $4 == $3 }
        fused && $6 == 1 { compared++; same += $1 == $4 }
        !fused { compared++; same += $1 == $5 }
        END {
            printf "%-8s %d of %d frames fused, %d right (agilenn run: %d); %d of %d classes are those of agilenn run\n", \
                what, all, frames, right, host, same, compared
            exit !(all >= 0.99 * frames && same == compared && compared >= 0.99 * frames)
        }' || die "$1"
}
"$work/c/udp" 127.0.0.1 "$port" <"$work/frames.raw" >"$work/udp.txt"
compare sockets "$work/udp.txt"

# shellcheck disable=SC2086 # a list of words on purpose
"$bin" modem $faults --pty "$work/tty" --server "127.0.0.1:$port" --ssid home --password secret >"$work/modem.json" 2>/dev/null &
modem=$!
for _ in $(seq 100); do
    [ ! -e "$work/tty" ] || break
    sleep 0.1
done
AGN_WIFI_NAME=home AGN_WIFI_PASSWORD=secret "$work/c/modem" "$work/tty" 192.0.2.1 5683 921600 <"$work/frames.raw" >"$work/modem.txt"
if [ -z "$faults" ]; then
    compare modem "$work/modem.txt"
else
    (compare modem "$work/modem.txt") 2>/dev/null || true
fi
