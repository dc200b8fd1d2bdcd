#!/bin/sh
# train.compute as a user meets it on CPUs that lack bf16: oneDNN is told to see less than there is.
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"

# lacking ISA COMPUTE TEXT: a benchmark ends at once with one line that holds TEXT.
lacking() {
    ONEDNN_MAX_CPU_ISA=$1 DNNL_MAX_CPU_ISA=$1 refused 1 "$3" bench train-step --preset fashion-v1 --threads 1 --set "train.compute=$2"
}

lacking AVX512_CORE bf16 "bf16 needs a CPU with AVX512_BF16"
lacking AVX2 bf16 "bf16 needs a CPU with AVX512_BF16"
lacking AVX2 bf16-emulated "oneDNN has no bf16 convolutions for this CPU (it uses AVX2); compute in f32"

# Inference in 8 bits: floats and the reason where the CPU lacks it, computed and reported where it does not.
forward() {
    "$bin" bench forward --preset fashion-v1 --batch 3 --repeats 2 --threads 1 --json "$@" >"$tmp/out" 2>"$tmp/err"
}
ONEDNN_MAX_CPU_ISA=AVX2 DNNL_MAX_CPU_ISA=AVX2 forward --int8 || die "bench forward --int8 with AVX2 should compute in floats"
[ "$(grep -c "computing in floats: inference in 8 bits needs" "$tmp/err")" -eq 1 ] ||
    die "bench forward --int8 with AVX2: stderr should have one line with the reason"
grep -q '"compute": "f32"' "$tmp/out" || die "bench forward --int8 with AVX2 should compute in f32"
forward || die "bench forward"
for key in int8_share machine compiler commit; do
    grep -q "\"$key\"" "$tmp/out" || die "bench forward --json lacks $key"
done
grep -q '"compute": "f32"' "$tmp/out" || die "bench forward should compute in f32"
# speeds FILE: the median is a plain number, between the least and the greatest.
speeds() {
    awk -F'[:,]' '/"images_per_s(_min|_max)?": [0-9.e+]+,?$/ { gsub(/[ "]/, "", $1); value[$1] = $2 }
        END { exit !(value["images_per_s_min"] > 0 && value["images_per_s_min"] <= value["images_per_s"] + 0 &&
            value["images_per_s"] <= value["images_per_s_max"] + 0) }' "$1" ||
        die "$(grep -A 4 images_per_s "$1"): expected the median, images_per_s_min and images_per_s_max"
}
speeds "$tmp/out"
"$bin" bench train-step --preset fashion-v1 --batch 2 --steps 2 --threads 1 --json >"$tmp/out" 2>"$tmp/err" || die "bench train-step"
speeds "$tmp/out"
forward --int8 --beside 1 || die "bench forward --int8 --beside 1"
if grep -q '"compute": "int8"' "$tmp/out"; then
    grep -q '"int8_share": 0\.[5-9]' "$tmp/out" || die "bench forward --int8: expected most of the work in 8 bits"
else
    grep -q "inference in 8 bits needs" "$tmp/err" || die "bench forward --int8: stderr lacks the reason"
fi
# No preset's Remote NN meets reference code: residual SiLU blocks did where there is AVX2 and no more.
for preset in "$AGILENN_PRESETS"/*.ini; do
    ! "$bin" info --preset "$preset" | grep -q 'system  *local-only' || continue # has none
    for isa in AVX2 AVX512_CORE; do
        ONEDNN_MAX_CPU_ISA=$isa "$bin" bench forward --preset "$preset" --batch 1 --repeats 1 --threads 2 --json \
            >"$tmp/out" 2>"$tmp/err" || die "bench forward --preset $preset"
        case $(uname -m) in
        x86_64) grep -q '"reference_layers": 0,' "$tmp/out" || die "$preset with $isa: layers run in reference code" ;;
        esac
    done
done
# `info --code` tells the same of each layer as the benchmark does.
"$bin" bench forward --preset cifar10-lean-v1 --batch 1 --repeats 1 >"$tmp/out" 2>"$tmp/err" || die "bench forward"
sed -n '/^layer /,$p' "$tmp/out" | awk 'NR > 1 && NF > 2 { name = $1; sub(/^[^ ]+ +[0-9]+ +/, ""); print name "=" $0 }' >"$tmp/bench"
"$bin" info --preset cifar10-lean-v1 --code >"$tmp/out" 2>"$tmp/err" || die "info --code"
sed -n '/^remote /,/^  total/p' "$tmp/out" | awk '$1 ~ /^remote/ && /  (jit|gemm|brg|ref|xnnpack)/ {
    name = $1; sub(/^.* [0-9]+  /, ""); print name "=" $0 }' >"$tmp/info"
[ "$(wc -l <"$tmp/bench")" -gt 5 ] || die "bench forward lists no layers: $(cat "$tmp/bench")"
cmp -s "$tmp/bench" "$tmp/info" || die "info --code and bench forward differ: $(diff "$tmp/bench" "$tmp/info" | head -4)"
"$bin" info --preset cifar10-lean-v1 --code --json | grep -q '"code": "' || die "info --code --json"
"$bin" info --preset cifar10-lean-v1 --json | grep -q '"code": "' && die "info --json without --code plans the Remote NN"
echo "refusals of train.compute and --int8: passed"
