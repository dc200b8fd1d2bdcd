#!/bin/sh
# The command line as a user meets it: help, exit codes, messages, `agilenn data` on small data sets.
set -eu

# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"

# -- the overview
run 0 --help
out_has "usage: agilenn COMMAND"
err_empty
cp "$tmp/out" "$tmp/overview"
run 0 help
cmp -s "$tmp/out" "$tmp/overview" || die "'help' and '--help' differ"
run 2
out_empty
err_has "usage: agilenn COMMAND"
run 0 --version
grep -Eq '^agilenn [0-9]+\.[0-9]+\.[0-9]+ \([0-9a-f]+(-dirty)?\)$|^agilenn [0-9.]+ \(unknown\)$' "$tmp/out" ||
    die "unexpected version line"

# -- every command explains itself, with an example, within 80 columns
commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$tmp/overview")
[ -n "$commands" ] || die "no commands in the overview"
for command in $commands; do
    run 0 "$command" --help
    err_empty
    out_has "usage: agilenn $command"
    out_has "Example:"
    out_has "--help"
    awk 'length($0) > 80 && !/^  agilenn/ { exit 1 }' "$tmp/out" || die "help of $command is wider than 80 columns"
    cp "$tmp/out" "$tmp/help"
    run 0 help "$command"
    cmp -s "$tmp/out" "$tmp/help" || die "'help $command' and '$command --help' differ"
    run 2 "$command" --no-such-option
    out_empty
    one_line
    err_has "agilenn $command: unknown option --no-such-option"
done

# -- wrong words
run 2 dta
out_empty
one_line
err_has "unknown command 'dta'; did you mean data?"
run 2 --versoin
err_has "unknown option '--versoin'; did you mean --version?"
run 2 help dtaa
err_has "did you mean data?"
run 2 qqqqqqqq
err_has "unknown command 'qqqqqqqq' (see agilenn --help)"

for command in check fetch; do
    run 0 data "$command" --help
    out_has "usage: agilenn data $command"
    out_has "Example:"
    awk 'length($0) > 80 && !/^  agilenn/ { exit 1 }' "$tmp/out" || die "help of data $command is wider than 80 columns"
    run 2 data "$command"
    err_has "is missing"
done
run 2 data check --format idz x
err_has "did you mean idx?"
run 2 data fetch cifar10
err_has "--out DIR is missing"

run 2 bench
one_line
err_has "what to measure (train-step, forward or codec MODEL) is missing"

# -- data: the command line
run 2 data
err_has "--path DIR is missing"
run 2 data --path x --sizee 1x1x1
err_has "did you mean --size?"
run 2 data --path x --format idz
err_has "did you mean idx?"
run 2 data --path x --split tset
err_has "did you mean test?"
for size in 28x28 28x28x1x1 0x28x1 28x28x9 28x-28x1 28x28x1x 5000x1x1 99999999999999999999x1x1 " 28x28x1" ""; do
    run 2 data --path x --size "$size"
    out_empty
    one_line
    err_has "expected HEIGHTxWIDTHxCHANNELS"
done
run 2 data --path x --format folder
err_has "--size HxWxC is missing"
run 2 data --path x --limit -2
err_has "--limit -2: expected a whole number from -1"

# -- data: a set that is not there, one that is broken, one that is right
run 1 data --path "$tmp/nowhere"
out_empty
one_line
err_has "$tmp/nowhere"

# Two classes, three 2x2 grey images: 0 0 0 0, 10 20 30 40, 255 255 255 255.
mkdir "$tmp/set"
printf '\000\000\010\003\000\000\000\003\000\000\000\002\000\000\000\002\000\000\000\000\012\024\036\050\377\377\377\377' \
    >"$tmp/set/train-images-idx3-ubyte"
printf '\000\000\010\001\000\000\000\003\000\001\001' >"$tmp/set/train-labels-idx1-ubyte"
run 0 data --path "$tmp/set" --size 2x2x1
err_empty
out_has "3 of 2x2x1"
run 0 data --path "$tmp/set" --size 2x2x1 --json
err_empty
# mean = (0 + 100 + 1020) / 12 = 93.33
for field in '"images": 3,' '"height": 2,' '"channels": 1,' '"format": "idx",' '"split": "train",' '"name": "1",' \
    '"images": 2' '93.3333333'; do
    out_has "$field"
done
run 1 data --path "$tmp/set" --size 3x3x1
out_empty
one_line
run 1 data --path "$tmp/set" --size 2x2x1 --split test
one_line
head -c 20 "$tmp/set/train-images-idx3-ubyte" >"$tmp/short"
mv "$tmp/short" "$tmp/set/train-images-idx3-ubyte"
run 1 data --path "$tmp/set" --size 2x2x1
out_empty
one_line
err_has "train-images-idx3-ubyte"

# -- modem: which line, to whom; figures at the end
run 2 modem
out_empty
one_line
err_has "give one of --connect, --listen and --pty"
run 2 modem --listen "$tmp/line" --pty "$tmp/tty"
one_line
run 2 modem --pty "$tmp/tty" --server localhost
one_line
err_has "expected HOST:PORT"
run 2 modem --pty "$tmp/tty" --loss 101
one_line
run 1 modem --connect "$tmp/nobody" --patience 0
out_empty
one_line
err_has "nobody listens at"
"$bin" modem --pty "$tmp/tty" --boot 1 >"$tmp/out" 2>"$tmp/err" &
modem=$!
wait_for 20 test -L "$tmp/tty"
timeout 20 grep -a -m 1 -q '^ready' <"$tmp/tty" || die "modem: no 'ready'"
printf 'AT\r\n' >"$tmp/tty"
timeout 20 grep -a -m 1 -q '^OK' <"$tmp/tty" || die "modem: no answer to AT"
signal INT $modem
await $modem 20 "the modem"
[ "$code" -eq 0 ] || die "modem: exit code $code at its end, expected 0"
err_has "the serial line is"
out_has '"uart_up": 4,'
out_has '"resets": 0,'
[ ! -L "$tmp/tty" ] || die "modem leaves its link behind"

# -- output that cannot be written is a failure
if [ -w /dev/full ]; then
    code=0
    "$bin" --help >/dev/full 2>"$tmp/err" || code=$?
    [ "$code" -eq 1 ] || die "--help into a full disk: exit code $code, expected 1"
    err_has "cannot write"
fi

# -- closed streams stay unusable: no file that is opened takes their place
"$bin" modem --pty "$tmp/tty" --boot 1 <&- >&- 2>"$tmp/err" &
modem=$!
wait_for 20 test -L "$tmp/tty"
for stream in 0 1; do
    file=$(readlink "/proc/$modem/fd/$stream")
    [ "$file" = /dev/null ] || die "a program begun with stream $stream closed has $file there"
done
signal INT $modem
await $modem 20 "the modem"
[ "$code" -eq 1 ] || die "modem without an output: exit code $code, expected 1"
err_has "cannot write"
echo "command line: all as expected"
