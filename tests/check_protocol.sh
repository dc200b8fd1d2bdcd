#!/bin/sh
# Both versions of the protocol through `agilenn serve` and `run`: frames and answers in the bytes that docs/PROTOCOL.md
# says, the same predictions but where two classes are nearly equal, both versions listed, and a swarm in version 2.
set -eu
# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?}/tests/support/served_model.sh"
images=200

make_model
start_server
for version in 1 2 auto; do
    send_frames "$images" --protocol "$version" --predictions "$tmp/$version.csv"
    mv "$tmp/run.out" "$tmp/$version.json"
done
[ "$(figure protocol "$tmp/1.json")" = 1 ] || die "not version 1"
[ "$(figure protocol "$tmp/2.json")" = 2 ] || die "not version 2"
[ "$(figure protocol "$tmp/auto.json")" = 2 ] || die "auto took version 1 though the server has 2"
cmp -s "$tmp/2.csv" "$tmp/auto.csv" || die "auto and 2 differ"

# All frames are one packet here: 20 of header and checksum become 9 with the deadline or, above 2040 ms, 8.
awk -v a="$(figure payload_bytes_mean "$tmp/1.json")" -v b="$(figure payload_bytes_mean "$tmp/2.json")" \
    'BEGIN { exit !(a - b > 11.99 && a - b < 12.01) }' || die "a frame is not 12 bytes shorter"
classes=$(awk -v r="$(figure reply_bytes_mean "$tmp/1.json")" 'BEGIN { print (r - 16) / 2 }')
[ "$(figure reply_bytes_mean "$tmp/2.json")" = "$((classes + 8)).0" ] || [ "$(figure reply_bytes_mean "$tmp/2.json")" = "$((classes + 8))" ] ||
    die "an answer of $classes classes has $(figure reply_bytes_mean "$tmp/2.json") bytes"

# Of the predictions those may differ that are ahead by less than half a logit, in version 1.
paste -d, "$tmp/1.csv" "$tmp/2.csv" | awk -F, 'NR > 1 && $3 != $14 { n++; if ($10 >= 0.5) bad++ } END { print n + 0, bad + 0 }' >"$tmp/differ"
read -r differ bad <"$tmp/differ"
[ "$bad" = 0 ] || die "$bad predictions differ that were sure"
[ "$differ" -le 4 ] || die "$differ of $images predictions differ"

"$bin" swarm "$tmp/a.agn" --preset tiny --port "$port" --devices 5 --rate 100 --duration 1 --deadline 5000 --images 20 --protocol 2 --json >"$tmp/swarm.json" \
    2>"$tmp/swarm.err" || die "swarm"
[ "$(figure fallbacks "$tmp/swarm.json")" = 0 ] || die "frames of the swarm fell back"
[ "$(figure strangers "$tmp/swarm.json")" = 0 ] || die "the swarm does not know its own answers"
