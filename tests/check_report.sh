#!/bin/sh
# `agilenn report` as a user meets it: what is refused, the page of made-up results, --quick through a sweep; and the page
# in a real browser, where chromium is there: nothing breaks, sorting works, it fits a phone, it is dark where asked, it
# prints.
# usage: check_report.sh [SCREENSHOT.png]
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
need python3
AGILENN_PROFILES=$root/profiles
export AGILENN_PROFILES

# -- refused, and nothing is left behind
refused 2 "--results FILE.sqlite or --quick is missing" report --out "$tmp/no"
run 1 report --results "$tmp/nowhere.sqlite" --out "$tmp/bad"
out_empty
one_line
err_has "there is no results file $tmp/nowhere.sqlite"
echo "no database at all, only text" >"$tmp/text.sqlite"
run 1 report --results "$tmp/text.sqlite" --out "$tmp/bad"
one_line
err_has "expected a results file"
[ -z "$(ls "$tmp/bad")" ] || die "a page of a bad file"

# -- made-up results
python3 -c 'import sqlite3, sys
sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2]).read())' "$tmp/a.sqlite" "$root/tests/support/results.sql"
cp "$tmp/a.sqlite" "$tmp/b.sqlite"
run 0 report --results "$tmp/a.sqlite" --out "$tmp/page" --json
err_empty
is runs 51
is 'done' 45
is plans 6
[ "$(figure pictures)" -ge 10 ] || die "only $(figure pictures) pictures"
run 0 report --results "$tmp/a.sqlite" --results "$tmp/b.sqlite" --out "$tmp/twice" --no-plots
out_has "51 runs (45 done), 0 pictures"
cmp -s "$tmp/a.sqlite" "$tmp/b.sqlite" || die "the report has changed the results"

# -- --quick runs a sweep on the source tree's plan, and says so where that fails, as it does on a file that is none
mkdir "$tmp/quick"
cp "$tmp/text.sqlite" "$tmp/quick/quick.sqlite"
run 1 report --quick --out "$tmp/quick" --no-plots
err_has "agilenn sweep $tmp/quick/quick.ini --out $tmp/quick/quick.sqlite"
cmp -s "$tmp/quick/quick.ini" "$root/bench/plans/quick.ini" || die "another quick plan than the source tree's"
[ ! -e "$tmp/quick/report.html" ] || die "a page without results"

# -- in a browser
browser=$(command -v chromium || command -v chromium-browser) || {
    echo "report: page as expected; not looked at in a browser: chromium is not installed"
    exit 0
}
# visit PAGE ARGUMENT...
visit() {
    page=$1
    shift
    HOME=$tmp timeout 100 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
        --user-data-dir="$tmp/browser" --enable-logging=stderr --virtual-time-budget=5000 "$@" "file://$page" \
        >"$tmp/page.out" 2>"$tmp/browser.err" || die "the browser failed"
    ! grep -iE 'CONSOLE|content security policy|uncaught|refused to' "$tmp/browser.err" || die "the browser complains"
}
# What a person would do and see, written where --dump-dom shows it: a frame as wide as a phone, two presses of a head.
cat >"$tmp/look.html" <<'END'
<!DOCTYPE html><meta charset="utf-8"><body><iframe id="phone" src="page/report.html" style="width:360px;height:800px"></iframe><p id="seen">nothing</p>
<script>
const frame = document.getElementById("phone");
frame.onload = () => {
  const page = frame.contentDocument, seen = {}, root = page.documentElement;
  seen.scroll = root.scrollWidth - root.clientWidth;
  const table = [...page.querySelectorAll("table")].find((t) => t.caption.textContent.startsWith("Designs of systems"));
  const head = [...table.tHead.rows[0].cells].find((c) => c.textContent.startsWith("accuracy"));
  const keys = () => [...table.tBodies[0].rows].map((r) => Number(r.cells[head.cellIndex].dataset.value)).join(" ");
  head.querySelector("button").click();
  seen.up = keys();
  seen.sort = head.getAttribute("aria-sort");
  head.querySelector("button").click();
  seen.down = keys();
  seen.ids = [...page.querySelectorAll("[id]")].length - new Set([...page.querySelectorAll("[id]")].map((e) => e.id)).size;
  seen.unnamed = [...page.querySelectorAll("svg:not([aria-labelledby]), table:not(:has(caption)), th:not([scope])")].length;
  seen.ground = frame.contentWindow.getComputedStyle(page.body).backgroundColor;
  document.getElementById("seen").textContent = JSON.stringify(seen);
};
</script>
END
# seen KEY VALUE
seen() { grep -qF "\"$1\":$2" "$tmp/page.out" || die "in the browser $1 is not $2: $(grep -o '<p id="seen">.*' "$tmp/page.out")"; }
visit "$tmp/look.html" --allow-file-access-from-files --dump-dom
seen scroll 0
seen sort '"ascending"'
seen up '"68 78.7 81.5 82.7 84.2 88.15 91.47 92.34"'
seen down '"92.34 91.47 88.15 84.2 82.7 81.5 78.7 68"'
seen ids 0
seen unnamed 0
seen ground '"rgb(255, 255, 255)"'
visit "$tmp/look.html" --allow-file-access-from-files --blink-settings=preferredColorScheme=0 --dump-dom
seen ground '"rgb(20, 24, 29)"'
visit "$tmp/page/report.html" --print-to-pdf="$tmp/page.pdf"
[ "$(head -c 4 "$tmp/page.pdf")" = "%PDF" ] || die "not printed"
if [ $# -gt 0 ]; then
    visit "$tmp/page/report.html" --window-size=1200,4000 --screenshot="$1"
fi
echo "report: page as expected, and in a browser: sorting, a phone's width, dark, print"
