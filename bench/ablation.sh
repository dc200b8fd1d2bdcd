#!/bin/sh
# What the importance losses and the anchor are each worth: one reference network, three joint trainings from it,
# each exported and run end to end in int8 (device library, socket, server) on all test images.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: bench/ablation.sh PRESET OUT [--data DIR] [--set SECTION.KEY=VALUE]...

Trains PRESET three times from one reference network: whole; without the importance
losses (joint.lambda = 1); without the anchor (joint.anchor = 0). OUT receives a folder
for each, comparison.png and results.md. Called again it goes on where it
was interrupted. AGN_BIN is the program (default: build/agilenn).

Example:
  bench/ablation.sh cifar10-lean-v1 out/ablation --set data.format=folder --data cifar10
END
}
[ $# -ge 2 ] || {
    usage >&2
    exit 2
}
preset=$1
out=$2
shift 2
bin=${AGN_BIN:-build/agilenn}
[ -x "$bin" ] || {
    echo "ablation.sh: there is no program $bin; 'make' builds it" >&2
    exit 1
}
mkdir -p "$out"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

figure() { sed -n "s/^ *\"$1\": \([-0-9.e+]*\),*\$/\1/p" "$2" | head -n 1; }

# train NAME OPTION...: goes on where an earlier call stopped
train() {
    name=$1
    shift
    [ ! -s "$out/$name/model.safetensors" ] || return 0
    [ ! -s "$out/$name/checkpoint.safetensors" ] || set -- "$@" --resume
    "$bin" train --preset "$preset" --out "$out/$name" "$@"
}

# end_to_end NAME OPTION...: the exported model on all test images, through a server on a free port
end_to_end() {
    name=$1
    shift
    [ ! -s "$out/$name/run.json" ] || return 0
    "$bin" export "$out/$name/model.safetensors" --output "$out/$name/model.agn" >"$out/$name/export.txt"
    "$bin" serve "$out/$name/model.safetensors" --port 0 --json >"$out/$name/serve.json" &
    server=$!
    port=
    for _ in $(seq 300); do
        port=$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$out/$name/serve.json" 2>/dev/null || true)
        [ -z "$port" ] || break
        sleep 0.1
    done
    [ -n "$port" ] || {
        echo "ablation.sh: the server did not start" >&2
        exit 1
    }
    "$bin" run "$out/$name/model.agn" --preset "$preset" "$@" --port "$port" --deadline 2000 --json \
        >"$out/$name/run.part"
    kill "$server"
    wait "$server" || true
    server=
    mv "$out/$name/run.part" "$out/$name/run.json"
}

# row NAME LABEL
row() {
    train_json=$out/$1/train.json
    run_json=$out/$1/run.json
    awk -v label="$2" -v device="$(figure accuracy "$run_json")" -v float="$(figure float_accuracy "$train_json")" \
        -v local="$(figure local_only_accuracy "$train_json")" -v valid="$(figure reference_valid "$train_json")" \
        -v skewness="$(figure skewness_mean "$train_json")" -v disorder="$(figure disorder_rate "$train_json")" \
        -v bytes="$(figure payload_bytes_mean "$run_json")" -v seconds="$(figure train_seconds "$train_json")" 'BEGIN {
        printf "| %s | %.4f | %.4f | %.4f | %.4f | %.4f | %.4f | %.0f | %.1f |\n", label, device, float, local, valid,
            skewness, disorder, bytes, seconds / 60
    }'
}

train whole "$@"
given=$out/whole/reference.safetensors
train no-importance-losses "$@" --reference "$given" --set joint.lambda=1
train no-anchor "$@" --reference "$given" --set joint.anchor=0
for name in whole no-importance-losses no-anchor; do
    end_to_end "$name" "$@"
done
"$bin" plot "whole=$out/whole" "no importance losses=$out/no-importance-losses" "no anchor=$out/no-anchor" \
    -o "$out/comparison.png"
{
    echo "| training | end to end, int8 | float | Local NN only | reference valid | skewness | disorder rate | bytes sent | minutes |"
    echo "|---|---|---|---|---|---|---|---|---|"
    row whole "whole"
    row no-importance-losses "no importance losses (λ = 1)"
    row no-anchor "no anchor (μ = 0)"
} >"$out/results.md"
cat "$out/results.md"
