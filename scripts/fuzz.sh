#!/bin/sh
# Fuzzes every decoder and parser (fuzz/) with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer.
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/fuzz.sh [--seconds N] [--build DIR] [--keep] [TARGET...]

Builds the targets with clang in DIR (default: build-fuzz) and runs each for N seconds (default: 60), JOBS at
once (default: one a core). TARGET is a name in fuzz/ without fuzz_ and .c; all if none is given.
DIR/finds/TARGET/ receives inputs that crash, leak, hang or eat memory, DIR/logs/TARGET.txt what libFuzzer
said, DIR/fuzz.csv the figures. --keep adds inputs that reach new code to fuzz/corpus/.
Exit code 1 if any target found something.

Examples:
  scripts/fuzz.sh --seconds 600
  scripts/fuzz.sh --seconds 3600 --keep wire_decode coap_answer
END
}

seconds=60
build="build-fuzz"
keep=false
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=${2:?--seconds needs a number} && shift 2 ;;
    --build) build=${2:?--build needs a folder} && shift 2 ;;
    --keep) keep=true && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "fuzz.sh: unknown option $1; fuzz.sh --help lists them" >&2 && exit 2 ;;
    *) break ;;
    esac
done
case $seconds in
'' | *[!0-9]* | 0) echo "fuzz.sh: --seconds is a whole number of at least 1, not '$seconds'" >&2 && exit 2 ;;
esac
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || {
    # shellcheck disable=SC2046 # names without spaces
    set -- $(ls fuzz/fuzz_*.c | sed 's,fuzz/fuzz_\(.*\)\.c,\1,')
}
for target in "$@"; do
    [ -f "fuzz/fuzz_$target.c" ] || { echo "fuzz.sh: there is no target $target (fuzz/fuzz_$target.c)" >&2 && exit 2; }
done
command -v clang >/dev/null || { echo "fuzz.sh: clang is not installed; scripts/install-deps.sh ci installs it" >&2 && exit 1; }
jobs=${JOBS:-$(nproc)}

mkdir -p "$build/finds" "$build/logs"
cmake -S . -B "$build" -DCMAKE_C_COMPILER=clang -DAGN_LIBFUZZER=ON -DAGN_SANITIZE=address,undefined -DAGN_WERROR=OFF >"$build/configure.log" 2>&1 ||
    { cat "$build/configure.log" >&2 && exit 1; }
programs=$(printf 'fuzz_%s ' "$@")
# shellcheck disable=SC2086 # a list of words
cmake --build "$build" -j"$jobs" --target $programs >"$build/build.log" 2>&1 || { tail -n 40 "$build/build.log" >&2 && exit 1; }

# New inputs go to a folder of their own: the committed corpus changes on --keep only.
run_one='
    target=$1
    mkdir -p "$BUILD/new/$target" "$BUILD/finds/$target"
    status=0
    "$BUILD/fuzz/fuzz_$target" -max_total_time="$SECONDS_EACH" -timeout=25 -rss_limit_mb=3000 -print_final_stats=1 \
        -artifact_prefix="$BUILD/finds/$target/" "$BUILD/new/$target" "fuzz/corpus/$target" >"$BUILD/logs/$target.txt" 2>&1 || status=$?
    echo "$status" >"$BUILD/logs/$target.status"
    [ "$status" -eq 0 ] || tail -n 30 "$BUILD/logs/$target.txt" >&2'
echo "fuzzing $# targets for $seconds s each, $jobs at once"
export BUILD="$build" SECONDS_EACH="$seconds"
printf '%s\n' "$@" | xargs -n 1 -P "$jobs" sh -c "$run_one" fuzz

failed=0
echo "target,seconds,executions,inputs,new_inputs,peak_rss_mb,result" >"$build/fuzz.csv"
for target in "$@"; do
    figure() { sed -n "s/^stat::$1: *//p" "$build/logs/$target.txt" | tail -n 1; }
    result=clean
    [ "$(cat "$build/logs/$target.status")" = 0 ] || { result="FAILED" && failed=$((failed + 1)); }
    inputs=$(sed -n 's/.* corp: \([0-9]*\).*/\1/p' "$build/logs/$target.txt" | tail -n 1)
    echo "$target,$seconds,$(figure number_of_executed_units),$inputs,$(figure new_units_added),$(figure peak_rss_mb),$result" |
        tee -a "$build/fuzz.csv"
    ! $keep || "$build/fuzz/fuzz_$target" -merge=1 "fuzz/corpus/$target" "$build/new/$target" >>"$build/logs/$target.txt" 2>&1
done
[ "$failed" -eq 0 ] || { echo "fuzz.sh: $failed of $# targets found something: see $build/finds and $build/logs" >&2 && exit 1; }
echo "fuzz.sh: $# of $# targets clean"
