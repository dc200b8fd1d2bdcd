#!/bin/sh
# `cmake --install` into an empty root: the command finds its presets there and has its manual and completion, and
# programs of both libraries build with nothing else, by pkg-config and by CMake, and work. Then uninstall.
set -eu
# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"
build=${AGN_BINARY_DIR:?the build folder}
installed=$tmp/root
prefix=$installed/opt/agilenn
consumers=$root/tests/consumers

DESTDIR=$installed cmake --install "$build" --prefix /opt/agilenn >"$tmp/install.out" 2>&1 || die "install"
[ -z "$(find "$installed" -path "$prefix" -prune -o -type f -print)" ] || die "files beside the prefix: $(find "$installed" -type f | grep -v "$prefix")"
for file in lib/systemd/system/agilenn-server.service lib/sysusers.d/agilenn.conf lib/tmpfiles.d/agilenn.conf \
    share/agilenn/presets/fashion.ini share/doc/agilenn/examples/grafana-agilenn.json; do
    [ -s "$prefix/$file" ] || die "$file is not installed"
done
! grep -rl "$AGN_SOURCE_DIR" "$prefix/share" "$prefix/include" "$prefix/lib/pkgconfig" "$prefix/lib/cmake" >"$tmp/paths" ||
    die "the build's folders in $(cat "$tmp/paths")"

# The command, from elsewhere and without $AGILENN_PRESETS.
bin=$prefix/bin/agilenn
(cd "$tmp" && env -u AGILENN_PRESETS "$bin" info --preset fashion >"$tmp/info.out" 2>"$tmp/info.err") || die "presets are not found"
version=$("$bin" --version | cut -d' ' -f2)

# A page each, with every option of the help.
"$bin" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' >"$tmp/commands"
printf 'data check\ndata fetch\nsweep show\nsweep csv\nsweep plot\nsweep merge\nbench forward\nbench codec\nexplain deletion\n' >>"$tmp/commands"
[ "$(wc -l <"$tmp/commands")" -gt 15 ] || die "few commands: $(cat "$tmp/commands")"
while read -r command; do
    page=$prefix/share/man/man1/agilenn-$(echo "$command" | tr ' ' -).1
    [ ! -f "$page.gz" ] || gzip -d "$page.gz"
    sed 's/\\-/-/g; s/\\f[BIR]//g' "$page" >"$tmp/page"
    # shellcheck disable=SC2086 # two words on purpose
    "$bin" $command --help | sed -n 's/^  \(-., \)*--\([a-z0-9-]*\).*/\2/p' >"$tmp/options"
    [ -s "$tmp/options" ] || die "no options of $command"
    while read -r option; do
        grep -q -e "--$option" "$tmp/page" || die "agilenn-$command.1 lacks --$option"
    done <"$tmp/options"
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W error "$page" >"$tmp/lint.out" 2>&1 || die "agilenn-$command.1"
    fi
    if command -v man >/dev/null; then
        man --warnings -l "$page" 2>"$tmp/man.err" >"$tmp/man.out" || die "agilenn-$command.1"
        [ ! -s "$tmp/man.err" ] || die "agilenn-$command.1"
    fi
done <"$tmp/commands"
[ -f "$prefix/share/man/man5/agilenn-preset.5.gz" ] || [ -f "$prefix/share/man/man5/agilenn-preset.5" ] || die "no page of presets"

# offers EXPECTED WORD...: what bash offers for the last word holds EXPECTED
offers() {
    expected=$1
    shift
    bash -c '. "$1/share/bash-completion/completions/agilenn"; PATH=$1/bin:$PATH; shift
        compopt() { :; }
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _agilenn; echo " ${COMPREPLY[*]} "' - "$prefix" "$@" >"$tmp/words" 2>"$tmp/bash.err" ||
        die "completion of $*"
    [ ! -s "$tmp/bash.err" ] || die "completion of $*"
    case $(cat "$tmp/words") in
    *" $expected "*) ;;
    *) die "completion of '$*' lacks $expected:$(cat "$tmp/words")" ;;
    esac
}
offers train agilenn ""
offers serve agilenn se
offers --preset agilenn train --pre
offers fashion agilenn train --preset fash
offers fashion agilenn train --preset = fash
offers check agilenn data ""
offers --ground agilenn data check --
offers xnnpack agilenn bench forward --engine ""
offers keys agilenn help k
offers "" agilenn serve --port 5

# Users' programs.
sanitize=$(sed -n 's/^AGN_SANITIZE:STRING=//p' "$build/CMakeCache.txt")
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
flags="-std=c99 -Wall -Wextra -pedantic -Werror ${sanitize:+-fsanitize=$sanitize}"
PKG_CONFIG_PATH=$prefix/lib/pkgconfig
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion agilenn)" = "$version" ] || die "the version of agilenn.pc"
mkdir "$tmp/pc" "$tmp/cmake"
# shellcheck disable=SC2046,SC2086 # flags
"$compiler" $flags "$consumers/device.c" $(pkg-config --cflags --libs agilenn-device) -o "$tmp/pc/device" 2>"$tmp/cc.err" ||
    die "a program of the device library"
# shellcheck disable=SC2046,SC2086
"$compiler" $flags "$consumers/host.c" $(pkg-config --cflags --libs agilenn) -o "$tmp/pc/host" 2>"$tmp/cc.err" ||
    die "a program of the host library"
cmake -S "$consumers" -B "$tmp/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$compiler" \
    -DCMAKE_C_FLAGS="${sanitize:+-fsanitize=$sanitize}" >"$tmp/cmake.out" 2>&1 || die "find_package"
cmake --build "$tmp/cmake" >"$tmp/cmake.out" 2>&1 || die "the project of both libraries"
for wrong in "0.1" "0.3"; do # another minor version may have another interface
    mkdir "$tmp/wrong"
    printf 'cmake_minimum_required(VERSION 3.20)\nproject(p C)\nfind_package(agilenn %s REQUIRED)\n' "$wrong" >"$tmp/wrong/CMakeLists.txt"
    ! cmake -S "$tmp/wrong" -B "$tmp/wrong/b" -DCMAKE_PREFIX_PATH="$prefix" >"$tmp/wrong.out" 2>&1 || die "version $wrong is found"
    rm -r "$tmp/wrong"
done
make_model
start_server
for way in pc cmake; do
    "$tmp/$way/device" "$tmp/a.agn" >"$tmp/device.out" 2>"$tmp/device.err" || die "$way: the device's program"
    grep -qx 'class [0-3]' "$tmp/device.out" || die "$way: $(cat "$tmp/device.out")"
    "$tmp/$way/host" "$tmp/a/model.safetensors" "$port" >"$tmp/host.out" 2>"$tmp/host.err" || die "$way: the host's program"
    grep -q '^64 of 64 fused' "$tmp/host.out" || die "$way: $(cat "$tmp/host.out")"
done
! "$tmp/pc/device" /dev/null 2>/dev/null || die "an empty model"
echo "agilenn $version installed; programs of both libraries: $(cat "$tmp/host.out")"
