#!/bin/sh
# `agilenn sweep` as a user meets it: plans that are refused, a sweep of seconds that is killed and gone on with, shards that
# make the whole, a training that diverges beside others, runs again by their command, and what is told of the results.
set -eu

# shellcheck source=tests/support/tiny_set.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/tiny_set.sh"
tiny_set "$tmp"
cd "$tmp"

# -- refused before anything is trained or made
cat >bad.ini <<'END'
[plan]
presets = tiny
[grid]
joint.roh = 0.7 0.8
END
refused 1 "bad.ini, line 4: there is no setting 'joint.roh'" sweep bad.ini --out no
refused 1 "expected I/N" sweep "$root/bench/plans/example.ini" --shard 3/2 --out no
refused 2 "--jobs 0: expected a whole number from 1" sweep bad.ini --jobs 0
refused 1 "nowhere.ini" sweep nowhere.ini --out no
refused 1 "there is no file no" sweep show no
refused 1 "there is no file no" sweep merge no no

# -- the plan: four runs, and what they measure beside
cat >plan.ini <<'END'
[plan]
question = What do k and the seed do?
presets = tiny
seeds = 1 2
measure_images = 0
may_lose = 0.02
curves = loss budget shift deletion
[set]
data.validation = 0.2
[grid]
model.local_channels = 3 4
END
sweep="sweep plan.ini --threads 1"
# shellcheck disable=SC2086
run 0 $sweep --dry-run
out_has "4 runs"
[ ! -e whole.sqlite ] || die "a dry run leaves something behind"

# -- two shards at once are the whole
# shellcheck disable=SC2086
{
    run 0 $sweep --out whole.sqlite --jobs 2
    "$bin" $sweep --shard 1/2 --out one.sqlite >one.out 2>one.err &
    run 0 $sweep --shard 2/2 --out two.sqlite --json
}
is runs 2
is "done" 2
await $! 60 "the first shard"
[ "$code" -eq 0 ] || die "the first shard ended with $code"
[ ! -e whole.sqlite.d ] || die "a sweep that is over leaves its folders"
run 0 sweep merge both.sqlite one.sqlite two.sqlite
out_has "4 runs from 2 files"
# told FILE: all that does not depend on time and place
told() {
    run 0 sweep show "$1"
    cat "$tmp/out"
    run 0 sweep csv "$1" --curves
    cat "$tmp/out"
    run 0 sweep csv "$1" --plans
    cat "$tmp/out"
}
told whole.sqlite >whole.txt
told both.sqlite >both.txt
cmp whole.txt both.txt || die "two shards joined are not the whole"
for curve in loss,256,0.5,accuracy shift,noise,5,rank_correlation shift,long-tail,100,accuracy deletion,falling,3,probability before,,0,skewness_before; do
    grep -q "$curve" whole.txt || die "there is no curve $curve"
done

# -- its designs in the cost model's tables
run 0 estimate --results whole.sqlite --plan plan --plot-csv map.csv
out_has "local_channels=3 "
out_has "least energy: "
[ "$(wc -l <map.csv)" -gt 100 ] || die "a map of $(wc -l <map.csv) lines"
refused 1 "no run of plan other is done" estimate --results whole.sqlite --plan other
refused 2 "leave out MODEL" estimate --results whole.sqlite model.agn
refused 2 "goes with --results" estimate --plan plan model.agn

# -- CSV and back is the same file
for table in runs curves plans; do
    run 0 sweep csv whole.sqlite --$table
    cp out $table.csv
done
run 0 sweep merge back.sqlite runs.csv curves.csv plans.csv
for table in runs curves plans; do
    run 0 sweep csv back.sqlite --$table
    cmp out $table.csv || die "the table $table is not the same after a way through CSV"
done
sed 's/,done,/,dnoe,/' runs.csv >broken.csv
refused 1 "broken.csv, line " sweep merge back.sqlite broken.csv

# -- a run again by its command: a row that is gone comes back the same
id=$(sed -n 's/^plan,\([0-9a-f]\{16\}\),0,.*/\1/p' runs.csv)
grep -q "agilenn sweep plan.ini --only $id --out whole.sqlite" runs.csv || die "no command beside the run $id"
# shellcheck disable=SC2086
run 0 $sweep --only "$id" --out again.sqlite
run 0 sweep csv again.sqlite --curves
grep "$id" curves.csv >of_run.txt
grep "$id" out | cmp - of_run.txt || die "a run by itself is another one"
# shellcheck disable=SC2086
refused 1 "no run has the id 'none'" $sweep --only none --out no

# -- nothing is done twice; another plan takes what is there
# shellcheck disable=SC2086
run 0 $sweep --out whole.sqlite --json
is before 4
is "done" 0
sed 's/= 3 4/= 3 4 5/; s/seeds = 1 2/seeds = 2/' plan.ini >other.ini
run 0 sweep other.ini --out whole.sqlite --threads 1 --json
is copied 2
is "done" 1

# -- killed in the middle of a training, then of a sweep, and gone on with
sed 's/\[set\]/[set]\njoint.epochs = 60/' plan.ini >long.ini
long="sweep long.ini --threads 1"
has_checkpoint() { [ -n "$(find killed.sqlite.d -name checkpoint.safetensors 2>/dev/null)" ]; }
begin() {
    # shellcheck disable=SC2086
    "$bin" $long --out killed.sqlite >killed.out 2>killed.err &
    pid=$!
}
begin
wait_for 60 has_checkpoint
refused 1 "is locked by process $pid since 2" sweep long.ini --out killed.sqlite
kill -9 "$pid"
await "$pid" 20 "the killed sweep"
begin
wait_for 60 holds_text killed.out "[1/4]"
signal TERM "$pid"
await "$pid" 60 "the interrupted sweep"
[ "$code" -eq 130 ] || die "the sweep ended with $code after SIGTERM"
grep -q "the same command goes on" killed.err || die "nothing says how to go on"
# shellcheck disable=SC2086
run 0 $long --out killed.sqlite --json
holds "$(figure before) >= 1"
is left 0
# shellcheck disable=SC2086
run 0 $long --out unharmed.sqlite --jobs 2
told unharmed.sqlite >unharmed.txt
told killed.sqlite >killed.txt
cmp unharmed.txt killed.txt || die "a sweep that was killed ends with other figures"

# -- a training that diverges, and one that fails, are recorded, and the others go on
cat >presets/deepcod.ini <<'END'
base = tiny
[model]
system = deepcod
extractor = conv:c4:k4:s4:l1
decoder = attention up up conv:c1:a2
remote = conv:c8:s2
[joint]
rate = 0.003
END
cat >wild.ini <<'END'
[plan]
presets = deepcod
mode = list
[set]
data.validation = 0.2
data.train_limit = 80
[list]
wild = joint.rate=10 | train.momentum=0.999 | joint.reconstruction=1000
  | model.decoder=attention attention attention attention attention attention up up conv:c1:a2
tame =
hurt = train.batch=32
END
run 0 sweep wild.ini --out wild.sqlite --threads 1 --limit 2 --json
is diverged 1
is "done" 1
run 0 sweep csv wild.sqlite --runs
out_has ",diverged,coder training diverged by step"
hurt=$("$bin" sweep wild.ini --dry-run | sed -n 's/^ *2 \([0-9a-f]*\) .*/\1/p')
mkdir -p "wild.sqlite.d/$hurt/model.safetensors" # where a file is to be
run 1 sweep wild.ini --out wild.sqlite --threads 1
out_has "failed: "
rmdir "wild.sqlite.d/$hurt/model.safetensors"
run 0 sweep wild.ini --out wild.sqlite --threads 1 --retry --json
is failed 0
is before 1

# -- pictures and figures
run 0 sweep show whole.sqlite --plan plan --json
out_has '"model.local_channels": "3"'
run 0 sweep plot whole.sqlite --plan plan -o plot.png --x model.local_channels --y skewness
is_png plot.png
run 0 sweep plot whole.sqlite --plan plan -o plot.svg --by model.local_channels
grep -q "</svg>" plot.svg || die "plot.svg is no picture"
refused 1 "none of its 2 designs has both joint.rho and accuracy" sweep plot whole.sqlite --plan plan -o no --x joint.rho

# -- a disk that is full (a limit on the size of files stands for it): what the file holds stays, and the sweep goes on later
"$bin" sweep csv whole.sqlite --runs >before.csv
cp whole.sqlite full.sqlite
sed 's/^seeds = .*/seeds = 3/' plan.ini >more.ini
if (trap '' XFSZ && ulimit -f 8 && "$bin" sweep more.ini --threads 1 --out full.sqlite --limit 1) >full.out 2>full.err; then
    die "a sweep on a full disk ended well: $(cat full.out)"
fi
grep -q "full.sqlite: .*\(I/O error\|full\)" full.err || die "a full disk is not named: $(cat full.err)"
run 0 sweep csv full.sqlite --runs
cmp out before.csv || die "a full disk changed what was there"
run 0 sweep more.ini --threads 1 --out full.sqlite --limit 1

# -- files of others
if command -v python3 >/dev/null 2>&1 && python3 -c 'import sqlite3'; then
    cp whole.sqlite newer.sqlite
    python3 -c 'import sqlite3
file = sqlite3.connect("newer.sqlite")
file.execute("UPDATE meta SET value = 2")
file.commit()
sqlite3.connect("foreign.sqlite").execute("CREATE TABLE t (x)")'
    refused 1 "results of version 2, this program knows version 1" sweep show newer.sqlite
    refused 1 "results of version 2, this program knows version 1" sweep plan.ini --out newer.sqlite
    refused 1 "a database, but not the results of a sweep" sweep plan.ini --out foreign.sqlite
fi
refused 1 "expected the head of a table" sweep merge whole.sqlite plan.ini
"$bin" sweep csv whole.sqlite --runs | cmp - before.csv || die "a merge that was refused has changed the file"
echo "sweep: all as expected"
