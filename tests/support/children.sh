# Sourced by scripts that start programs in the background: waits that end, and signals that arrive.
# Needs a function `die` of the script's.
# shellcheck shell=sh disable=SC2034 # $code is for the script

# Until it runs its program, a child is a copy of the shell: a signal for which the shell has a trap is taken by
# the copy, which forgets it. The program then never hears of it.
is_shell_still() { [ "$(cat "/proc/$1/comm" 2>/dev/null || true)" = "$(cat "/proc/$$/comm")" ]; }

# signal NAME PID: sends it to the program
signal() {
    for _ in $(seq 200); do
        is_shell_still "$2" || break
        sleep 0.05
    done
    kill "-$1" "$2"
}

is_running() {
    case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null || true) in
    "" | Z*) return 1 ;;
    esac
}

# await PID SECONDS NAME: waits for a child's end; its exit code goes to $code
await() {
    tenths=$(($2 * 10))
    while is_running "$1"; do
        tenths=$((tenths - 1))
        if [ "$tenths" -lt 0 ]; then
            { tr '\0' ' ' <"/proc/$1/cmdline" && echo && grep -E '^(State|Threads|Sig)' "/proc/$1/status"; } >&2 || true
            kill -9 "$1" || true
            die "$3 still ran after $2 s"
        fi
        sleep 0.1
    done
    code=0
    wait "$1" 2>/dev/null || code=$?
}
