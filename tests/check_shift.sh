#!/bin/sh
# `agilenn shift` and `agilenn explain deletion` as a user meets them: tables, files and JSON of a tiny model, other data
# sets, systems without parts, and what they refuse.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
tiny_model a
model=$tmp/a/model.safetensors

# -- all of it: a row of each change, and a device that is made
run 0 shift "$model" --threads 1 --images 48 --byte-images 10 --calibrate 32 --out "$tmp/s"
for kind in clean noise shot blur motion contrast brightness haze jpeg pixelate rotate translate occlude colour long-tail; do
    grep -q "^$kind  *[0-9]" "$tmp/out" || die "no row of $kind"
done
out_has "48 images, 10 through the int8 device"
grep -q "^importance order " "$tmp/out" || die "no last word"
[ "$(wc -l <"$tmp/s/shift.csv")" -eq $((1 + 1 + 13 * 5 + 9)) ] || die "rows of the table: $(wc -l <"$tmp/s/shift.csv")"
head -n 1 "$tmp/s/shift.csv" | grep -q "^kind,strength,draw,parameter,images,fused_accuracy," || die "the table's head"
awk -F, 'NR == 1 { columns = NF } NF != columns { exit 1 }' "$tmp/s/shift.csv" || die "columns of the table"
is_png "$tmp/s/shift.png"
is_png "$tmp/s/samples.png"
grep -q '</svg>' "$tmp/s/shift.svg" || die "no SVG"

# -- what is clean is what eval says; the same again is the same
run 0 eval "$model" --threads 1 --limit 0 --json
accuracy=$(figure float_accuracy)
run 0 shift "$model" --threads 1 --images 0 --kinds jpeg,noise --device "$tmp/a.agn" --json
holds "$(figure fused_accuracy) == $accuracy"
[ "$(figure rank_correlation)" = 1.0 ] || die "the clean order is its own"
out_has '"kind": "jpeg"'
! grep -q '"kind": "haze"' "$tmp/out" || die "haze was not asked for"
grep -v '"seconds"\|images_per_s' "$tmp/out" >"$tmp/first"
run 0 shift "$model" --threads 2 --images 0 --kinds noise,jpeg --device "$tmp/a.agn" --json
grep -v '"seconds"\|images_per_s' "$tmp/out" >"$tmp/second"
cmp -s "$tmp/first" "$tmp/second" || die "two threads measure something else"
run 0 shift "$model" --threads 1 --kinds noise --calibrate 0 --json
grep -q '"bytes_mean": null' "$tmp/out" || die "without a device there are no bytes"

# -- another data set, by its folder and by a preset
mkdir "$tmp/other"
make_idx "$tmp/other" train 32
make_idx "$tmp/other" t10k 40
sed "s|^path = .*|path = $tmp/other|" "$tmp/presets/tiny.ini" >"$tmp/presets/other.ini"
run 0 shift "$model" --threads 1 --kinds contrast --calibrate 0 --other "$tmp/other" --json
sed -n '/"kind": "other"/,/}/p' "$tmp/out" >"$tmp/by_folder"
grep -q '"images": 40' "$tmp/by_folder" || die "the other set has 40 images: $(cat "$tmp/by_folder")"
run 0 shift "$model" --threads 1 --kinds contrast --calibrate 0 --other other --json
sed -n '/"kind": "other"/,/}/p' "$tmp/out" >"$tmp/by_preset"
cmp -s "$tmp/by_folder" "$tmp/by_preset" || die "folder and preset are the same data"

# -- a device alone has no importance
cat >"$tmp/presets/alone.ini" <<'END'
base = tiny
[model]
system = local-only
local = conv:c8:s2 conv:c8
END
run 0 train --preset alone --out "$tmp/alone" --no-plots --threads 1 --set joint.epochs=1
run 0 shift "$tmp/alone/model.safetensors" --threads 1 --kinds noise,long-tail --json
for key in remote_accuracy skewness_mean rank_correlation top_kept unsent_share; do
    out_has "\"$key\": null"
done
run 0 shift "$tmp/alone/model.safetensors" --threads 1 --kinds noise
out_has "importance order: nothing to compare"

# -- images go through the server's JPEG after they were changed, once; exits leave frames unsent
cat >"$tmp/presets/jpeg.ini" <<'END'
base = tiny
[model]
system = edge-only
codec = jpeg
jpeg_quality = 30
END
run 0 train --preset jpeg --out "$tmp/jpeg" --no-plots --threads 1 --set joint.epochs=1
run 0 eval "$tmp/jpeg/model.safetensors" --threads 1 --limit 0 --json
accuracy=$(figure float_accuracy)
run 0 shift "$tmp/jpeg/model.safetensors" --threads 1 --images 0 --kinds noise --json
holds "$(figure fused_accuracy) == $accuracy"
out_has '"local_accuracy": null'
holds "$(figure bytes_mean) > 20"
cat >"$tmp/presets/exits.ini" <<'END'
base = tiny
[model]
system = spinn
codec = lzw
extractor = conv:c4:s2 conv:c6
exit_threshold = 0.6
[joint]
rate = 0.05
END
run 0 train --preset exits --out "$tmp/exits" --no-plots --threads 1 --set joint.epochs=3
run 0 shift "$tmp/exits/model.safetensors" --threads 1 --kinds noise --json
holds "$(figure unsent_share) > 0 && $(figure unsent_share) <= 1"

# -- refused
for kinds in nosie "" "noise," other; do
    run 2 shift "$model" --kinds "$kinds"
    one_line
    err_has "--kinds: there is no change"
done
run 2 shift
err_has "MODEL.safetensors is missing"
run 2 shift "$model" --images -1
run 2 shift "$model" --split tset
refused 1 "nowhere" shift "$tmp/nowhere.safetensors" --out "$tmp/no"
refused 1 "nosuch" shift "$model" --other nosuch
refused 1 "export it anew" shift "$tmp/alone/model.safetensors" --device "$tmp/a.agn" --kinds noise
head -c 100 "$tmp/a.agn" >"$tmp/cut.agn"
refused 1 "cut.agn" shift "$model" --device "$tmp/cut.agn" --out "$tmp/no"

# -- deletion
run 0 explain deletion "$model" --threads 1 --images 40 --method ig-trapezoid --method gradient --out "$tmp/d"
for words in "ig-trapezoid       falling" "gradient           falling" "40 images, 8 channels of which 5 are sent"; do
    out_has "$words"
done
[ "$(wc -l <"$tmp/d/deletion.csv")" -eq $((1 + (2 * 2 + 2) * 2 * 9 + 2 * 2 * 6)) ] || die "rows of deletion.csv"
is_png "$tmp/d/deletion.png"
grep -q '</svg>' "$tmp/d/deletion.svg" || die "no SVG"
run 0 explain deletion "$model" --threads 1 --images 40 --json
out_has '"probability_area": '
out_has '"fused_falling": {'
run 2 explain deletion "$model" --method shap
err_has "no attribution method is called 'shap'"
run 2 explain deletion
err_has "MODEL.safetensors is missing"
run 2 explain deletion "$model" --draws 9
refused 1 "one of the system local-only has none" explain deletion "$tmp/alone/model.safetensors" --out "$tmp/no"
