#!/bin/sh
# The live page in a real browser: the figures of frames that a device sent appear, charts are drawn, nothing breaks
# the page's own security policy. Needs chromium.
# usage: check_monitor_page.sh [SCREENSHOT.png]
set -eu
browser=$(command -v chromium || command -v chromium-browser) || exit 77

# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"

# visit ARGUMENT...: opens the page for five of its own seconds
visit() {
    HOME=$tmp timeout 100 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
        --user-data-dir="$tmp/browser" --enable-logging=stderr --virtual-time-budget=5000 "$@" "$url" \
        >"$tmp/page.out" 2>"$tmp/browser.err" || die "the browser failed"
}

# shows ID TEXT: the element with this id holds this text
shows() {
    grep -qE "id=\"$1\"[^>]*>$2<" "$tmp/page.out" || {
        grep -oE "id=\"$1\"[^>]*>[^<]*<" "$tmp/page.out" >"$tmp/shown.out" || true
        die "the page does not show '$2' as $1"
    }
}

make_model
start_server
send_frames 300 --report "$url"
sleep 3 # the history has a point a second, a line two at least
visit --dump-dom
shows state serving
shows devices 1
shows frames-total 300
shows unanswered-total 0
shows latency-p50 '[0-9.]+ ms'
shows latency-max '[0-9.,]+ ms'
shows bytes-frame '[0-9.]+ B'
shows queue 0
shows accuracy-count 300
shows accuracy '[0-9.]+ %'
shows fallback '0 %'
shows uptime '00:[0-9:]+'
grep -qE '<th class="name" scope="row">a/model.safetensors</th><td>[0-9a-f]{8}</td><td class="number">300</td>' "$tmp/page.out" ||
    die "no row for the model"
grep -qE '<th scope="row">packet malformed</th><td>malformed</td><td class="number">0</td>' "$tmp/page.out" ||
    die "no row of errors"
[ "$(grep -oE '<path class="(first|second) line" d="M[0-9]' "$tmp/page.out" | wc -l)" -ge 8 ] || die "charts without lines"
[ "$(grep -oE 'role="img" aria-label="[^"]+; now [^"]+"' "$tmp/page.out" | wc -l)" -eq 7 ] || die "charts without a text"
updates=$(sed -n 's/.*data-updates="\([0-9]*\)".*/\1/p' "$tmp/page.out")
[ "${updates:-0}" -ge 3 ] || die "the page took ${updates:-no} updates in five seconds, expected three or more"
! grep -iE 'content security policy|uncaught|refused to' "$tmp/browser.err" || die "the browser complains"

if [ $# -gt 0 ]; then
    visit --window-size=1200,1100 --screenshot="$1"
fi
echo "page: figures, charts and tables in a browser, $updates updates"
