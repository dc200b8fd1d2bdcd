#!/bin/sh
# Runs plans of bench/plans and writes what came of them as tables and pictures that can be committed.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/measure-plans.sh [options] [PLAN]...

Runs each PLAN (a name in bench/plans; all but example and quick) with \`agilenn sweep\`, which goes on where it was interrupted, and writes to RESULTS:
  PLAN.csv          designs: mean and interval of each figure over seeds
  PLAN-runs.csv, PLAN-plans.csv, PLAN-curves.csv (where a plan asks for curves)   the sweep's tables without loss
  PLAN.svg          a picture (which figures: the table in this script)
The tables make a results file again, for \`agilenn report\` and \`agilenn estimate\`:
  agilenn sweep merge results.sqlite RESULTS/*-runs.csv RESULTS/*-curves.csv RESULTS/*-plans.csv

options:
  --build DIR     where agilenn was built (build)
  --out DIR       results files, OUT/PLAN.sqlite (out/plans)
  --results DIR   (docs/results/plans)
  --threads N     of a run (all cores)
  --jobs N        runs at once (1)
  --draw          run nothing: tables and pictures of what there is

Example: scripts/measure-plans.sh --threads 1 --jobs 2 ablation xai-method
END
}

build=build
out=out/plans
results=docs/results/plans
threads=''
jobs=1
draw=''
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=${2:?--build needs a folder} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --results) results=${2:?--results needs a folder} && shift 2 ;;
    --threads) threads="--threads ${2:?--threads needs a number}" && shift 2 ;;
    --jobs) jobs=${2:?--jobs needs a number} && shift 2 ;;
    --draw) draw=yes && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "measure-plans.sh: $1: no such option" >&2 && exit 2 ;;
    *) break ;;
    esac
done
cd "$(dirname "$0")/.."
bin=$build/agilenn
mkdir -p "$out" "$results"
if [ $# -eq 0 ]; then
    for file in bench/plans/*.ini; do
        name=$(basename "$file" .ini)
        [ "$name" = example ] || [ "$name" = quick ] || set -- "$@" "$name"
    done
fi

# axes PLAN: what its picture shows
axes() {
    case $1 in
    k-rho-lambda-*) echo "--x skewness --y accuracy --by model.local_channels" ;;
    xai-method) echo "--x train_seconds --y skewness" ;;
    alpha-t) echo "--x alpha --y accuracy" ;;
    compression-* | loss-* | systems-*) echo "--x bytes_mean --y accuracy" ;;
    *) echo "--x skewness --y accuracy" ;;
    esac
}

for plan in "$@"; do
    [ -f "bench/plans/$plan.ini" ] || { echo "measure-plans.sh: there is no plan bench/plans/$plan.ini" >&2 && exit 2; }
    file=$out/$plan.sqlite
    # shellcheck disable=SC2086 # lists of words on purpose
    [ -n "$draw" ] || "$bin" sweep "bench/plans/$plan.ini" --out "$file" --jobs "$jobs" $threads
    "$bin" sweep csv "$file" --plan "$plan" >"$results/$plan.csv"
    "$bin" sweep csv "$file" --plan "$plan" --runs >"$results/$plan-runs.csv"
    "$bin" sweep csv "$file" --plan "$plan" --plans >"$results/$plan-plans.csv"
    "$bin" sweep csv "$file" --plan "$plan" --curves >"$results/$plan-curves.csv"
    # shellcheck disable=SC2046 # likewise
    "$bin" sweep plot "$file" --plan "$plan" -o "$results/$plan.svg" $(axes "$plan")
    "$bin" sweep show "$file" --plan "$plan"
done
