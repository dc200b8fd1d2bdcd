#!/bin/sh
# Several processes under mpirun: the same model as one process makes, clear refusals, stops, deaths, resuming. Without
# mpirun, or built without MPI, checks what the command says then, and is skipped.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
# Open MPI keeps memory until the process ends; its folder's name must be short.
ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
OMPI_ALLOW_RUN_AS_ROOT=1
OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1
OMPI_MCA_mpi_yield_when_idle=1
OMPI_MCA_orte_tmpdir_base=/tmp
OMPI_MCA_plm=isolated
export ASAN_OPTIONS OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe \
    OMPI_MCA_mpi_yield_when_idle OMPI_MCA_orte_tmpdir_base OMPI_MCA_plm

# together EXIT_CODE COMMAND...: both its outputs go to $tmp/out
together() {
    expected=$1
    shift
    code=0
    "$@" >"$tmp/out" 2>&1 || code=$?
    [ "$code" -eq "$expected" ] || die "$*: exit code $code, expected $expected"
}

says_once() { [ "$(grep -cF -e "$1" "$tmp/out")" -eq 1 ] || die "the output should have one line with '$1'"; }

# values FILE: the numbers in a safetensors file of floats, one a line, up to the codecs' tables at its end: those are made
# of whole symbols, of which some fall on the other side of a border for the last bit of a weight.
values() {
    header=$(od -A n -t u8 -N 8 "$1")
    tables=$(tail -c +9 "$1" | head -c "$header" | grep -o '"codec.contexts":{[^}]*"data_offsets":\[[0-9]*' | grep -o '[0-9]*$')
    od -A n -v -w4 -t f4 -j $((header + 8)) -N "${tables:-999999999}" "$1"
}

# same_model A B TOLERANCE: every number within TOLERANCE of the other one, relative to 1 or to itself
same_model() {
    values "$1" >"$tmp/values.a"
    values "$2" >"$tmp/values.b"
    paste "$tmp/values.a" "$tmp/values.b" | awk -v tolerance="$3" -v names="$1, $2" '
        function size(x) { return x < 0 ? -x : x }
        { d = size($1 - $2) / (size($1) > 1 ? size($1) : 1); worst = d > worst ? d : worst; if ($1 != 0) filled++ }
        END {
            printf "%s: %d numbers, worst difference %.2g\n", names, NR, worst
            exit !(NF == 2 && filled > 500 && worst <= tolerance)
        }' || die "other numbers in $2 than in $1"
}

tiny_set "$tmp"

# -- launched, but not by the mpirun of this build's MPI (or without any MPI in it): nothing is written
code=0
OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 "$bin" train --preset tiny --out "$tmp/no" >"$tmp/out" 2>&1 || code=$?
[ "$code" -eq 1 ] || die "2 processes that do not find each other: exit code $code"
[ ! -e "$tmp/no" ] || die "2 processes that do not find each other left something behind"
if grep -qF "was built without MPI" "$tmp/out"; then
    says_once "install the Debian package libopenmpi-dev"
    echo "skipped: built without MPI"
    exit 77
fi
says_once "2 processes were launched, but only 1 of them find each other"
if ! command -v mpirun >/dev/null 2>&1; then
    echo "skipped: there is no mpirun (Debian package openmpi-bin)"
    exit 77
fi

# -- refusals: one voice, nothing written
together 2 mpirun -n 2 "$bin" info --preset tiny
says_once "mpirun is for 'train', 'sweep' and 'bench' only"
together 1 mpirun -n 3 "$bin" train --preset tiny --out "$tmp/no"
says_once "train.batch = 16 images cannot be shared out evenly over 3 processes: set it to a multiple of 3"
together 1 mpirun -n 2 "$bin" train --preset tinny --out "$tmp/no"
says_once "there are: tiny"
together 1 mpirun -n 2 "$bin" train --preset tiny --out "$tmp/no" --resume
says_once "there is no checkpoint $tmp/no/checkpoint.safetensors"
# shellcheck disable=SC2016
together 1 mpirun -n 2 sh -c 'exec "$0" "$@" --set joint.rho=0.7$OMPI_COMM_WORLD_RANK' "$bin" train --preset tiny --out "$tmp/no"
says_once "process 1 (on "
out_has "this process has other settings than process 0"
mkdir "$tmp/other"
cp "$tmp"/set/* "$tmp/other"
printf '\003' | dd of="$tmp/other/train-labels-idx1-ubyte" bs=1 seek=100 conv=notrunc 2>/dev/null
mkdir "$tmp/data"
ln -s "$tmp/set" "$tmp/data/0"
ln -s "$tmp/other" "$tmp/data/1"
# shellcheck disable=SC2016
together 1 mpirun -n 2 sh -c 'exec "$0" "$@"/$OMPI_COMM_WORLD_RANK' "$bin" train --preset tiny --out "$tmp/no" --data "$tmp/data"
says_once "this process sees other images than process 0"
rm "$tmp/data/1"
# shellcheck disable=SC2016
together 1 mpirun -n 2 sh -c 'exec "$0" "$@"/$OMPI_COMM_WORLD_RANK' "$bin" train --preset tiny --out "$tmp/no" --data "$tmp/data"
says_once "agilenn train: process 1 (on "
out_has "$tmp/data/1"
[ ! -e "$tmp/no" ] || die "a refused training left something behind"

# -- the same model, but for rounding; with three processes parts of the test set differ in size. SiLU: where ReLU6
# switches, a rounding can make a visible difference (as it does between numbers of threads).
set -- train --preset tiny --threads 1 --no-plots --set reference.epochs=2 --set joint.epochs=2 --set train.batch=24 \
    --set "model.extractor=conv:c4:s2:a1 conv:c8" --set model.reference=conv:c8:s2:a1 --set model.remote=conv:c8:s2:a1
together 0 "$bin" "$@" --out "$tmp/one"
cp "$tmp/out" "$tmp/one.txt"
together 0 mpirun -n 2 "$bin" "$@" --out "$tmp/two"
says_once "trained on 256 images"
says_once "  2  that trained together"
together 0 mpirun -n 3 "$bin" "$@" --out "$tmp/three"
for several in two three; do
    same_model "$tmp/one/model.safetensors" "$tmp/$several/model.safetensors" 1e-4
    grep -q '"processes": ' "$tmp/$several/train.json" || die "$several/train.json lacks the number of processes"
    [ "$(wc -l <"$tmp/$several/metrics.jsonl")" -eq "$(wc -l <"$tmp/one/metrics.jsonl")" ] || die "$several: not one log"
done
for figure in float_accuracy local_only_accuracy reference_valid disorder_rate; do
    a=$(grep "\"$figure\"" "$tmp/one/train.json")
    b=$(grep "\"$figure\"" "$tmp/three/train.json")
    [ -n "$a" ] && [ "$a" = "$b" ] || die "$figure: '$a' in one process, '$b' in three"
done

# -- the same with all that draws or mixes by image
set -- "$@" --set train.mixup=0.3 --set train.cutout=4 --set train.label_smoothing=0.1 --set train.ema=0.9 \
    --set joint.distill=0.5 --set data.flip=1 --set data.crop_pad=1 --set joint.soft_temperature=0.5 \
    --set joint.packet_loss=0.2 --set joint.bits=0.1 --set data.validation=0.2
together 0 "$bin" "$@" --out "$tmp/one-all"
together 0 mpirun -n 2 "$bin" "$@" --out "$tmp/two-all"
same_model "$tmp/one-all/model.safetensors" "$tmp/two-all/model.safetensors" 1e-3
for all in one-all two-all; do
    [ "$(grep -c validation_accuracy "$tmp/$all/metrics.jsonl")" -eq 4 ] || die "$all: not 4 lines of validation"
done
[ "$(grep validation_images "$tmp/one-all/train.json")" = "$(grep validation_images "$tmp/two-all/train.json")" ] ||
    die "other validation images in two processes"

# -- stops and deaths. Each process notes its number in $tmp/pid.RANK.
set -- train --preset tiny --threads 1 --no-plots --set reference.epochs=2 --set joint.epochs=20

joint_lines() { cat "$folder/metrics.jsonl" 2>/dev/null | grep -c joint || true; }

# start FOLDER ARGUMENT...: two processes in the background, well into joint training
start() {
    folder=$1
    shift
    rm -f "$tmp"/pid.*
    lines=$(joint_lines)
    # shellcheck disable=SC2016
    mpirun -n 2 sh -c 'echo $$ >"$0.$OMPI_COMM_WORLD_RANK"; exec "$@"' "$tmp/pid" "$bin" "$@" --out "$folder" \
        >"$tmp/out" 2>&1 &
    launcher=$!
    trains() { [ "$(joint_lines)" != "$lines" ] || { has_ended "$launcher" && die "no joint training"; }; }
    wait_for 60 trains
}

# ends EXPECTED...: the launcher's exit code is one of these
ends() {
    await "$launcher" 120 "mpirun"
    for expected in "$@"; do
        [ "$code" -ne "$expected" ] || return 0
    done
    die "exit code $code, expected $*"
}

for rank in 0 1; do
    start "$tmp/dead$rank" "$@"
    kill -9 "$(cat "$tmp/pid.$rank")"
    ends 137
    out_has "process rank $rank with PID"
    [ ! -e "$tmp/dead$rank/model.safetensors" ] || die "a dead process left a model"
    together 0 "$bin" "$@" --out "$tmp/dead$rank" --resume
    grep -q '"processes": 1,' "$tmp/dead$rank/train.json" || die "resumed by one process, train.json says otherwise"
done

start "$tmp/stopped" "$@"
kill -TERM "$(cat "$tmp/pid.1")"
ends 130
says_once "the same command with --resume continues from $tmp/stopped/checkpoint.safetensors"
together 1 mpirun -n 2 "$bin" "$@" --out "$tmp/stopped"
says_once "--resume continues it, --force starts afresh"
start "$tmp/stopped" "$@" --resume
kill -USR1 "$launcher"
ends 130
says_once "the same command with --resume continues from $tmp/stopped/checkpoint.safetensors"
together 0 mpirun -n 4 "$bin" "$@" --out "$tmp/stopped" --resume
grep -q '"processes": 4,' "$tmp/stopped/train.json" || die "train.json lacks the four processes"
for name in stopped dead0 dead1; do
    accuracy=$(sed -n 's/^ *"float_accuracy": \([0-9.e-]*\),*$/\1/p' "$tmp/$name/train.json")
    awk -v a="$accuracy" 'BEGIN { exit !(a >= 0.9) }' || die "$name: accuracy $accuracy: four quarters are easily told apart"
done

# -- what the sums cost
together 0 mpirun -n 2 "$bin" bench train-step --preset tiny --steps 3 --threads 1 --json
says_once '"processes": 2,'
out_has '"allreduce_hidden_ms"'
echo "several processes: all as expected"
