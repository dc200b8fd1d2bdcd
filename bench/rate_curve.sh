#!/bin/sh
# What accuracy costs in bytes: one reference network, a joint training from it for each price on bits (joint.bits), each
# with its bytes a frame by the range coder and LZW, and its accuracy without loss and with packets lost.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: bench/rate_curve.sh PRESET OUT [--data DIR] [--set SECTION.KEY=VALUE]...

Trains PRESET once for each value of joint.bits in PRICES (default: "0 0.03 0.1 0.3 1").
OUT receives a folder for each, results.md, curve.csv and curve.png. Called again it goes
on where it was interrupted. AGN_BIN is the program (default: build/agilenn).

Example:
  bench/rate_curve.sh fashion out/rate --set joint.packet_loss=0.1
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
prices=${PRICES:-0 0.03 0.1 0.3 1}
[ -x "$bin" ] || {
    echo "rate_curve.sh: there is no program $bin; 'make' builds it" >&2
    exit 1
}
mkdir -p "$out"
given=

# measure PRICE OPTION...: goes on where an earlier call stopped
measure() {
    folder=$out/$1
    price=$1
    shift
    [ -z "$given" ] || set -- "$@" --reference "$given"
    [ ! -s "$folder/checkpoint.safetensors" ] || set -- "$@" --resume
    [ -s "$folder/model.safetensors" ] ||
        "$bin" train --preset "$preset" --out "$folder" --set "joint.bits=$price" "$@"
    [ -s "$folder/eval.json" ] || {
        "$bin" eval "$folder/model.safetensors" --packets 4 --json >"$folder/eval.part"
        mv "$folder/eval.part" "$folder/eval.json"
    }
    [ -s "$folder/codec.json" ] || {
        "$bin" bench codec "$folder/model.safetensors" --json >"$folder/codec.part"
        mv "$folder/codec.part" "$folder/codec.json"
    }
    : "${given:=$folder/reference.safetensors}"
}

figure() { sed -n "s/^ *\"$1\": \([-0-9.e+]*\),*\$/\1/p" "$2" | head -n 1; }
# bytes CODEC FILE
bytes() { grep -A1 "\"codec\": \"$1\"" "$2" | sed -n 's/^ *"bytes_mean": \([0-9.]*\),*$/\1/p'; }
# under_loss SHARE FILE
under_loss() { grep -A1 "\"loss\": $1,\$" "$2" | sed -n 's/^ *"accuracy": \([0-9.]*\),*$/\1/p'; }

for price in $prices; do
    measure "$price" "$@"
done
for price in $prices; do
    folder=$out/$price
    echo "$price $(bytes range "$folder/codec.json") $(bytes lzw "$folder/codec.json")" \
        "$(figure zero_share "$folder/codec.json") $(figure float_accuracy "$folder/eval.json")" \
        "$(figure local_only_accuracy "$folder/eval.json") $(figure skewness_mean "$folder/eval.json")" \
        "$(under_loss 0.1 "$folder/eval.json") $(under_loss 0.5 "$folder/eval.json")"
done >"$out/curve.csv"
awk 'BEGIN {
    print "| `joint.bits` | range, bytes | LZW, bytes | symbols 0 | accuracy | 10 % lost | 50 % lost | Local NN alone | skewness |"
    print "|---|---|---|---|---|---|---|---|---|"
}
{ printf "| %s | %.1f | %.1f | %.1f %% | %.2f %% | %.2f %% | %.2f %% | %.2f %% | %.3f |\n", $1, $2, $3, 100 * $4, 100 * $5,
    100 * $8, 100 * $9, 100 * $6, $7 }' "$out/curve.csv" >"$out/results.md"
cat "$out/results.md"
command -v gnuplot >/dev/null 2>&1 || {
    echo "rate_curve.sh: gnuplot is not installed, so there is no curve.png" >&2
    exit 0
}
gnuplot >"$out/curve.part" <<END
set terminal pngcairo size 800,520 font 'DejaVu Sans,11'
set xlabel 'bytes a frame (range coder)'
set ylabel 'accuracy (%)'
set xrange [0:*]
set grid back linecolor rgb '#DDDDDD'
set border 3
set tics nomirror
set key bottom right
set title 'Accuracy against bytes by the price on bits'
\$curve << EOD
$(cat "$out/curve.csv")
EOD
plot \$curve using 2:(100*\$5) with linespoints lw 2 pt 7 lc rgb '#0072B2' title 'nothing lost', \
    \$curve using 2:(100*\$8) with linespoints lw 2 pt 5 lc rgb '#009E73' title '10 % of packets lost', \
    \$curve using 2:(100*\$9) with linespoints lw 2 pt 9 lc rgb '#E69F00' title '50 % of packets lost', \
    \$curve using 2:(100*\$6) with lines lw 2 dt 2 lc rgb '#A9B1B8' title 'Local NN alone', \
    \$curve using 2:(100*\$5):1 with labels offset 0,0.9 font 'DejaVu Sans,9' notitle
END
mv "$out/curve.part" "$out/curve.png"
