#!/bin/sh
# `agilenn fit` as a user meets it: a search of seconds on a small data set, interrupted, killed and gone on with; what is
# refused at once; nothing that fits; its files; the recommended preset trains, the recommended model exports.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
AGILENN_PROFILES=$root/profiles
export AGILENN_PROFILES
fit="fit --preset tiny --board stm32f746 --threads 1 --no-plots"

# -- refused at once, with the reason, and nothing is left behind
# shellcheck disable=SC2086
{
    refused 2 "--preset BASE or --data DIR is missing" fit --board stm32f746 --radio esp8266
    refused 2 "--radio R is missing" $fit --out "$tmp/no"
    refused 1 "stm32f747" fit --preset tiny --board stm32f747 --radio esp8266 --out "$tmp/no"
    refused 1 "the library's code alone takes" $fit --radio esp8266 --out "$tmp/no" --flash 1K
    refused 1 "accuracy is a share of the images" $fit --radio esp8266 --out "$tmp/no" --accuracy 1.2
    refused 1 "expected bytes" $fit --radio esp8266 --out "$tmp/no" --ram 64q
    refused 1 "bytes only" $fit --radio esp8266 --out "$tmp/no" --ram 64M
    refused 1 "there is no search" $fit --radio esp8266 --out "$tmp/no" --resume
}

# -- nothing fits: no training, and what to relax
# shellcheck disable=SC2086
run 1 $fit --radio esp8266 --out "$tmp/tight" --energy 0.001
out_has "nothing fits"
out_has "0 trainings"
grep -q -- '--energy [0-9.]* mJ would do alone' "$tmp/out" || die "which energy would do?"
out_has "--ram: to relax it alone does not help"
[ -s "$tmp/tight/fit.csv" ] || die "no table"
[ ! -e "$tmp/tight/recommended.ini" ] || die "a preset is recommended that does not fit"

# -- a search, asked to end after some trainings, then killed, then gone on with
models() { find "$tmp/a" -name '*.safetensors' 2>/dev/null | wc -l; }
has_models() { [ "$(models)" -ge "$1" ]; }
search() {
    # shellcheck disable=SC2086
    "$bin" $fit --radio esp8266 --out "$tmp/a" --time 5 "$@" >"$tmp/out" 2>"$tmp/err" &
    search=$!
}
search
wait_for 60 has_models 2
signal TERM "$search"
await "$search" 20 "the interrupted search"
[ "$code" -eq 130 ] || die "the search ended with $code after SIGTERM"
out_empty
err_has "the same command with --resume goes on"
before=$(models)
# shellcheck disable=SC2086
refused 1 "holds a search already" $fit --radio esp8266 --out "$tmp/a"
# shellcheck disable=SC2086
refused 1 "a search with other settings" $fit --radio lora --out "$tmp/a" --resume
search --resume
wait_for 60 has_models $((before + 1))
kill -9 "$search"
await "$search" 20 "the killed search"
# shellcheck disable=SC2086
run 0 $fit --radio esp8266 --out "$tmp/a" --time 0.3 --resume --json
holds "$(figure trainings) >= $before"
trainings=$(figure trainings)
out_has '"modelled_latency_ms": ['
out_has '"local_accuracy": '
for file in fit.csv fit.sqlite recommended.ini recommended.safetensors; do
    [ -s "$tmp/a/$file" ] || die "there is no $file"
done
[ "$(sed -n '1s/,.*//p' "$tmp/a/fit.csv")" = name ] || die "fit.csv has no head"
grep -q ',1,1,,' "$tmp/a/fit.csv" || die "fit.csv shows no recommended design of the front"
holds "$(value accuracy "$tmp/out") > 0.5"

# -- a search that is over is told again, without training
# shellcheck disable=SC2086
run 0 $fit --radio esp8266 --out "$tmp/a" --time 0.3 --resume
out_has " candidates, $trainings trainings in "
out_has "recommended: "
out_has "what the limits cost"
out_has "agilenn export $tmp/a/recommended.safetensors"

# -- what it recommends is a preset and a model like any other
run 0 info --preset "$tmp/a/recommended.ini"
run 0 train --preset "$tmp/a/recommended.ini" --out "$tmp/trained" --threads 1 --no-plots
run 0 export "$tmp/a/recommended.safetensors" --output "$tmp/a.agn"

# -- a radio of less than a packet a second, the data alone, and a picture
run 0 fit --data "$tmp/set" --board stm32f746 --radio lora --time 0.5 --out "$tmp/b" --threads 1 --set train.batch=16
out_has "the radio allows one packet in"
is_png "$tmp/b/fit.png"
echo "fit: all as expected"
