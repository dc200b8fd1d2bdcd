# Completion for bash of the command agilenn: `agilenn help --completion` prints it with the names of all
# subcommands in place of NAMES and their options in place of COMMANDS.

_agilenn_names=(
    NAMES
)

_agilenn_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_agilenn_nothing() {
    compopt +o default +o bashdefault
}

# Names of presets; a path is completed by bash itself.
_agilenn_presets() {
    local folder file names=
    for folder in "${AGILENN_PRESETS-}" presets "$(dirname "$(type -P agilenn)")/../share/agilenn/presets"; do
        for file in "$folder"/*.ini; do
            [ ! -f "$file" ] || names="$names $(basename "$file" .ini)"
        done
    done
    _agilenn_words "$names"
}

_agilenn() {
    local current=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    local name commands= parts= options=
    COMPREPLY=()
    # bash makes words of their own of --option, = and value.
    if [ "$current" = = ]; then
        current=
    elif [ "$option" = = ]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for name in "${_agilenn_names[@]}"; do
        case $name in
        "$command "*) parts="$parts ${name#* }" ;;
        *" "*) ;;
        *) commands="$commands $name" ;;
        esac
        if [ "$COMP_CWORD" -gt 2 ] && [ "$name" = "$command ${COMP_WORDS[2]}" ]; then
            command=$name
        fi
    done
    if [ "$COMP_CWORD" -eq 1 ]; then
        _agilenn_words "$commands help --help --version"
        return
    fi
    case $command in
    help)
        _agilenn_words "$commands --man --completion"
        return
        ;;
    COMMANDS
    esac
    case $current in
    -*) _agilenn_words "$options" ;;
    *) [ "$COMP_CWORD" -ne 2 ] || _agilenn_words "$parts" ;;
    esac
}
complete -o default -o bashdefault -F _agilenn agilenn
