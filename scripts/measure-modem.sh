#!/bin/bash
# The table of docs/MODEM.md: how many frames of Fashion-MNIST the app `edge`, on an emulated Cortex-M7, fuses through
# `agilenn modem` and a server, over losses on the serial line and on the radio. Times are the host's: a few frames more or less
# from run to run, many less on a busy machine. Some minutes.
# usage: AGN_BIN=build/agilenn scripts/measure-modem.sh [runs]        (FIRMWARE: another firmware folder)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${AGN_BIN:-$root/build/agilenn}
firmware=${FIRMWARE:-$root/firmware}
runs=${1:-1}
frames=112 deadline=1000
work=$(mktemp -d "${TMPDIR:-/tmp}/agn-modem.XXXXXX")
server='' qemu=''
trap 'kill $server $qemu 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

export AGILENN_PRESETS=${AGILENN_PRESETS:-$root/presets}
preset=$root/presets/fashion-v1.ini
set_folder=$(sed -n 's/^path = //p' "$preset")
"$bin" train --preset "$preset" --set data.train_limit=4000 --set data.test_limit=500 --set joint.epochs=2 --threads 1 --no-plots \
    --out "$work/model" >/dev/null 2>&1
"$bin" export "$work/model/model.safetensors" --output "$work/model.agn" >/dev/null 2>&1
gzip -dc "$set_folder/t10k-images-idx3-ubyte.gz" >"$work/images"
dd if="$work/images" of="$work/frames.raw" bs=16 skip=1 count=$((frames * 49)) 2>/dev/null
make -s -C "$firmware" APP=edge OUT="$work/fw" DEFINES=-DEDGE_FRAME_MS=$deadline FRAMES="$work/frames.raw" MODEL="$work/model.agn" >/dev/null
"$bin" serve "$work/model/model.safetensors" --port 0 --wait $deadline --threads 1 --json >"$work/serve.json" 2>/dev/null &
server=$!
port=
until [ -n "$port" ]; do
    sleep 0.1
    port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$work/serve.json")
done
figure() { sed -n "s/^$1,\([0-9]*\)\$/\1/p" "$work/out.txt"; }

echo "bytes lost (%),datagrams lost (%),run,frames,fused,without some channels,ms a frame,longest,packets,packets again,bytes sent"
for losses in "0 0" "0 10" "0.1 10" "0.3 10" "1 10"; do
    read -r uart_loss loss <<<"$losses"
    for run in $(seq "$runs"); do
        rm -f "$work/uart"
        timeout 300 qemu-system-arm -M mps2-an500 -nographic -monitor none -serial "unix:$work/uart,server=on,wait=on" \
            -semihosting-config enable=on,target=native -kernel "$work/fw/edge.elf" >/dev/null 2>"$work/out.txt" &
        qemu=$!
        "$bin" modem --connect "$work/uart" --server "127.0.0.1:$port" --uart-loss "$uart_loss" --loss "$loss" --seed "$run" \
            >/dev/null 2>&1 || true
        wait "$qemu" || echo "run ended with $?" >&2
        qemu=''
        echo "$uart_loss,$loss,$run,$(figure frames),$(figure answers),$(figure answers_partial),$(figure frame_ms_mean),$(figure frame_ms_max),$(figure packets_given),$(figure packets_again),$(figure bytes)"
    done
done
