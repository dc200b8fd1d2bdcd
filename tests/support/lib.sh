# Sourced by check_*.sh: the command and the folder of the test, children that are ended with it, waits for events,
# refusals, figures in JSON, and a server. What a program says goes to $tmp/*.out and $tmp/*.err, or to $tmp/out and
# $tmp/err: a failure shows their ends.
# shellcheck shell=sh disable=SC2034 # variables are for the scripts
bin=${AGN_BIN:?path of agilenn}
tmp=${AGN_TEST_TMP:?a folder for this test}
root=${AGN_SOURCE_DIR:?the source folder}
LC_ALL=C
AGILENN_PRESETS=$root/presets
export LC_ALL AGILENN_PRESETS

die() {
    echo "FAILED: $*" >&2
    for file in "$tmp"/*.out "$tmp"/*.err "$tmp"/out "$tmp"/err; do
        [ ! -s "$file" ] || { echo "-- ${file##*/}:" && tail -n 40 "$file"; } >&2
    done
    exit 1
}

# need TOOL...: the test is skipped where one is not installed
need() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 || { echo "skipped: $tool is not installed" && exit 77; }
    done
}

# that EXPRESSION: of `o`, the JSON object in $tmp/out; needs python3
that() {
    python3 -c 'import json, sys
o = json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else 1)' "$tmp/out" "$1" || die "$1 does not hold: $(cat "$tmp/out")"
}

# ---- children ----------------------------------------------------------------------------------

# Whatever the script has started in the background ends with it.
# shellcheck disable=SC2317
end_children() {
    jobs -p >"$tmp/children"
    while read -r child; do
        kill -9 "$child" 2>/dev/null || true
    done <"$tmp/children"
}
trap end_children EXIT
trap 'exit 130' INT TERM

# wait_until SECONDS COMMAND...: runs it every 20 ms until it succeeds; fails where it has not in time
wait_until() {
    read -r now _ </proc/uptime
    deadline=$((${now%.*} + 1 + $1))
    shift
    until "$@"; do
        read -r now _ </proc/uptime
        [ "${now%.*}" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}

# wait_for SECONDS COMMAND...: the same; the end of the test where it has not
wait_for() { wait_until "$@" || { seconds=$1 && shift && die "waited $seconds s in vain for: $*"; }; }

# What to wait for, beside any other command: a text in a file; bytes in one of the files (also in those whose names
# begin so, since a file has another name until it is whole).
holds_text() { grep -qsF -e "$2" "$1"; }
has_bytes() { [ -n "$(find "${1%/*}" -name "${1##*/}*" -size +0)" ]; }

# Until it runs its program, a child is a copy of the shell: a signal for which the shell has a trap is taken by
# the copy, which forgets it. The program then never hears of it.
is_program() { [ "$(cat "/proc/$1/comm" 2>/dev/null || true)" != "$(cat "/proc/$$/comm")" ]; }

# signal NAME PID: sends it to the program
signal() {
    wait_for 10 is_program "$2"
    kill "-$1" "$2"
}

has_ended() {
    case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null || true) in
    "" | Z*) ;;
    *) return 1 ;;
    esac
}

# await PID SECONDS NAME: waits for a child's end; its exit code goes to $code
await() {
    if ! wait_until "$2" has_ended "$1"; then
        { tr '\0' ' ' <"/proc/$1/cmdline" && echo && grep -E '^(State|Threads|Sig)' "/proc/$1/status"; } >&2 || true
        kill -9 "$1" || true
        die "$3 still ran after $2 s"
    fi
    code=0
    wait "$1" 2>/dev/null || code=$?
}

# ---- commands ------------------------------------------------------------------------------------

# attempt EXIT_CODE COMMAND...: what it says goes to $tmp/out and $tmp/err
attempt() {
    expected=$1
    shift
    code=0
    timeout 100 "$@" >"$tmp/out" 2>"$tmp/err" || code=$?
    [ "$code" -eq "$expected" ] || die "$*: exit code $code, expected $expected"
}

# run EXIT_CODE ARGUMENT...: the same with agilenn
run() {
    expected=$1
    shift
    attempt "$expected" "$bin" "$@"
}

# refuse EXIT_CODE TEXT COMMAND...: one line to stderr, which holds TEXT; nothing to stdout, and no $tmp/no
refuse() {
    expected=$1
    text=$2
    shift 2
    attempt "$expected" "$@"
    out_empty
    one_line
    err_has "$text"
    [ ! -e "$tmp/no" ] || die "$*: left something behind"
}

# refused EXIT_CODE TEXT ARGUMENT...: the same with agilenn, whose line names the command
refused() {
    expected=$1
    text=$2
    shift 2
    refuse "$expected" "$text" "$bin" "$@"
    err_has "agilenn $1"
}

out_has() { grep -qF -e "$1" "$tmp/out" || die "stdout lacks '$1'"; }
err_has() { grep -qF -e "$1" "$tmp/err" || die "stderr lacks '$1'"; }
out_empty() { [ ! -s "$tmp/out" ] || die "stdout should be empty"; }
err_empty() { [ ! -s "$tmp/err" ] || die "stderr should be empty"; }
one_line() { [ "$(wc -l <"$tmp/err")" -eq 1 ] || die "stderr should be one line"; }
is_png() { [ "$(head -c 4 "$1" | tail -c 3)" = PNG ] || die "$1 is no PNG"; }

# ---- figures ---------------------------------------------------------------------------------------

# figure NAME [FILE]: the number after "NAME": on a line of its own, in $tmp/out
figure() { sed -n "s/^ *\"$1\": \([-0-9.e+]*\),*\$/\1/p" "${2:-$tmp/out}" | head -n 1; }
# value NAME FILE: what follows "NAME": anywhere, without quotes
value() { sed -n -e "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p;t" -e "s/.*\"$1\": *\([^],} ]*\).*/\1/p" "$2" | head -n 1; }
# is NAME VALUE: a figure in $tmp/out
is() { [ "$(figure "$1")" = "$2" ] || die "$1 is '$(figure "$1")', expected $2"; }
# holds EXPRESSION: of awk, over numbers
holds() { awk "BEGIN { exit !($1) }" || die "$1 does not hold"; }

# ---- a server ----------------------------------------------------------------------------------------

server=
as= # the command that runs it as another user

is_listening() { holds_text "$tmp/$1.out" '"port": ' || { has_ended "$server" && die "$1: the server did not start"; }; }

# start_as NAME ARGUMENT...: `agilenn serve`, and waits until it listens; sets $server, $port and, with --http, $url
start_as() {
    name=$1
    shift
    : >"$tmp/$name.out" # its port is not the one of the server before
    : >"$tmp/$name.err"
    $as "$bin" serve "$@" --json >"$tmp/$name.out" 2>"$tmp/$name.err" &
    server=$!
    wait_for 20 is_listening "$name"
    port=$(value port "$tmp/$name.out")
    url=$(value http "$tmp/$name.out")
}
start() { start_as serve "$@"; }

# stop SIGNAL EXIT_CODE: ends it; what it said then goes to $tmp/end
stop() {
    signal "$1" "$server"
    await "$server" 30 "the server"
    server=
    [ "$code" -eq "$2" ] || die "the server ended with exit code $code after SIG$1, expected $2"
    sed 1d "$tmp/serve.out" >"$tmp/end"
}

# logged TEXT: waits until the server has
logged() { wait_for 20 holds_text "$tmp/serve.err" "$1"; }

# frames_served: so many, as its page says; has_served COUNT: at least so many
frames_served() { curl --silent --max-time 10 "${url}metrics" | sed -n 's/^agilenn_frames_total //p'; }
has_served() { [ "$(frames_served)" -ge "$1" ]; }
