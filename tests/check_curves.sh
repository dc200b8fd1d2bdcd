#!/bin/sh
# `agilenn curves` as a user meets it, with version 2 of the protocol and frames as they come: what it says with
# everything there is what a device hears from a real server.
set -eu

# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"
make_model
model="$tmp/a/model.safetensors"

# row OF COUNT: the accuracy of one row of the table
row() { awk -F, -v of="$1" -v count="$2" '$1 == of && $3 == count { print $4 }' "$tmp/c/progress.csv"; }

run 0 curves "$model" --threads 1 --protocol 2 --extra 37 --packet 32 --progressive --json --out "$tmp/c"
fused=$(figure fused_accuracy)
local=$(figure local_accuracy)
sent=$(figure sent_channels)
packets=$(sed -n 's/^ *"packets_mean": \([0-9.]*\),*$/\1/p' "$tmp/out" | head -n 1)
for order in importance reversed random; do
    out_has "\"order\": \"$order\""
    holds "$(row "channels by $order" 0) == $local"
    holds "$(row "channels by $order" "$sent") == $fused"
done
out_has '"permutations": ['
holds "$packets > 1"
[ "$(grep -c '^32,' "$tmp/c/ask.csv")" = 24 ] || die "8 margins for 3 shares"
[ -s "$tmp/c/progress.png" ] || die "no picture"

# -- the device behind a socket
start_server
run 0 run "$tmp/a.agn" --preset tiny --port "$port" --deadline 10000 --protocol 2 --json
holds "$(figure accuracy) == $fused"
holds "$(figure local_accuracy) == $local"

# -- without being asked there is none of it
run 0 curves "$model" --threads 1 --limit 20 --json
! grep -q '"progress"' "$tmp/out" || die "frames as they come were not asked for"
run 0 curves "$model" --threads 1 --limit 20 --order-images 5 --progressive --packet 32
out_has "a packet of them, 5 images"
! grep -q "asking for more" "$tmp/out" || die "version 1 of the protocol cannot ask"
run 2 curves "$model" --protocol 3
