#!/bin/sh
# `agilenn serve --http` as a monitoring system meets it: metrics that agree with what a device sent (and please
# promtool where it is installed), health, a clean end, bad addresses. Needs curl.
set -eu
# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"
need curl

get() { curl --silent --show-error --max-time 10 --fail "$url$1" >"$tmp/$2" 2>"$tmp/curl.err" || die "GET /$1"; }

# metric NAME{LABELS} VALUE
metric() {
    found=$(awk -v name="$1" '$1 == name { print $2 }' "$tmp/metrics.out")
    [ "$found" = "$2" ] || die "metric $1 is '$found', expected $2"
}

make_model

# -- addresses that cannot be
for address in 70000 nonsense 127.0.0.1: ::1:80; do
    refused 1 "'$address': expected" serve "$tmp/a/model.safetensors" --port 0 --http "$address"
done

start_server
get readyz ready.out
grep -qx ok "$tmp/ready.out" || die "not ready"
send_frames 150
get metrics metrics.out
metric agilenn_frames_total 150
metric 'agilenn_frames_inferred_total{packets="complete"}' 150
metric 'agilenn_replies_total{status="ok"}' 150
metric agilenn_frame_latency_seconds_count 150
metric 'agilenn_frame_latency_seconds_bucket{le="+Inf"}' 150
metric agilenn_batch_size_sum 150
metric agilenn_devices 1
metric agilenn_reported_predictions_total "" # not asked to report, it did not
send_frames 50 --report "$url"
get metrics metrics.out
metric agilenn_reported_predictions_total 50
metric agilenn_reported_correct_total "$(awk '/^  "accuracy":/ { printf "%d", 50 * $2 + 0.5 }' "$tmp/run.out")"
metric agilenn_reported_fallbacks_total 0
metric agilenn_ready 1
id=$(value model_id "$tmp/serve.out")
metric "agilenn_model_replies_total{model=\"$id\",name=\"a/model.safetensors\",status=\"ok\"}" 200
! grep -F "$tmp" "$tmp/metrics.out" || die "the metrics show a path of this machine"
if command -v promtool >/dev/null; then
    promtool check metrics <"$tmp/metrics.out" >"$tmp/promtool.out" 2>&1 || die "promtool finds fault with the metrics"
    promtool check rules "$root/packaging/agilenn-alerts.yml" >"$tmp/promtool.out" 2>&1 || die "promtool: alerts"
    promtool check config --syntax-only "$root/packaging/prometheus.yml" >"$tmp/promtool.out" 2>&1 ||
        die "promtool: the sample configuration"
fi
# Every metric that the alerts and the dashboard ask for exists, with the labels that they select and group by.
for sample in agilenn-alerts.yml grafana-agilenn.json; do
    tr -d '\134' <"$root/packaging/$sample" >"$tmp/sample"
    grep -E -o '(agilenn|process)_[a-z_]+' "$tmp/sample" | sort -u >"$tmp/names"
    [ "$(wc -l <"$tmp/names")" -ge 5 ] || die "packaging/$sample asks for hardly anything"
    while read -r name; do
        grep -q "^${name}[ {]" "$tmp/metrics.out" || die "packaging/$sample asks for $name, which is not told"
    done <"$tmp/names"
    # name label value, one a line; a value may be one of several
    grep -E -o '(agilenn|process)_[a-z_]+[{][^}]*[}]' "$tmp/sample" | sort -u | awk -F'[{}]' '{
            count = split($2, parts, ",")
            for (i = 1; i <= count; i++) {
                label = value = parts[i]
                sub(/[=!~].*/, "", label)
                gsub(/^[^"]*"|"$/, "", value)
                values = split(value, each, "|")
                for (k = 1; k <= values && label !~ /^(instance|job)$/; k++)
                    print $1, label, each[k]
            }
        }' >"$tmp/labels"
    while read -r name label value; do
        grep -q "^${name}{.*$label=\"$value\"" "$tmp/metrics.out" || die "packaging/$sample: $name has no $label $value"
    done <"$tmp/labels"
done
# Every metric is in the manual, and every one of the manual is told.
sed -n 's/^# TYPE \(agilenn_[a-z_]*\) .*/\1/p' "$tmp/metrics.out" | sort >"$tmp/told"
sed -n 's/^| `\(agilenn_[a-z_]*\).*/\1/p' "$root/docs/MONITORING.md" | sort -u >"$tmp/documented"
cmp -s "$tmp/told" "$tmp/documented" || { diff "$tmp/told" "$tmp/documented" >"$tmp/diff.out" || die "docs/MONITORING.md and the metrics differ"; }

get status.json status.out
grep -q '"frames":200,' "$tmp/status.out" || die "status.json does not count the frames"

# -- the port is taken
run 1 serve "$tmp/a/model.safetensors" --port 0 --http "${url#http://}" # an address with a slash
address=${url#http://}
refused 1 "the port is in use" serve "$tmp/a/model.safetensors" --port 0 --http "${address%/}"

stop TERM 0
! curl --silent --max-time 2 "$url" >/dev/null || die "the page outlived the server"
echo "serve --http: metrics, health, addresses as expected"
