#!/bin/sh
# Builds for arm64 and asks under qemu-user: do the engine's tests pass there, and has every preset's Remote NN fast code?
set -eu
LC_ALL=C
export LC_ALL

usage() {
    cat <<END
usage: scripts/check-arm64.sh [--root DIR] [--build DIR] [TEST...]

Fetches Debian 12's arm64 packages into DIR (--root; default: build-arm64/root; once, 300 MB, as root), builds with
aarch64-linux-gnu-gcc in DIR (--build; default: build-arm64), runs TEST... (names in tests/ without .c; default: those
of engine and arithmetic) under qemu-aarch64, and lists what computes the layers of every preset's Remote NN, both as a
Cortex-A72 (a Raspberry Pi 4's) and with all that qemu knows, SVE among it. Exit code 1 where a test fails, or a layer
has reference code. Speed under an emulator says nothing about a board's.

Needs gcc-aarch64-linux-gnu, qemu-user-static and, for the first time, debootstrap.
END
}

root=
build="build-arm64"
while [ $# -gt 0 ]; do
    case $1 in
    --root) root=${2:?--root needs a folder} && shift 2 ;;
    --build) build=${2:?--build needs a folder} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    -*) echo "check-arm64.sh: unknown option $1; check-arm64.sh --help lists them" >&2 && exit 2 ;;
    *) break ;;
    esac
done
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- test_nn_inference test_nn_determinism test_nn_operators test_base_vector
for test in "$@"; do
    [ -f "tests/$test.c" ] || { echo "check-arm64.sh: there is no test $test (tests/$test.c)" >&2 && exit 2; }
done
needs() {
    command -v "$1" >/dev/null || { echo "check-arm64.sh: $1 is not there: install $2" >&2 && exit 1; }
}
needs aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
needs qemu-aarch64-static qemu-user-static
mkdir -p "$build"
build=$(cd "$build" && pwd)
root=${root:-$build/root}

if [ ! -e "$root/complete" ]; then
    needs debootstrap debootstrap
    [ "$(id -u)" -eq 0 ] || { echo "check-arm64.sh: debootstrap, which fetches the packages, must run as root" >&2 && exit 1; }
    packages=$(sed -n '/^build_packages="/,/"$/p' scripts/install-deps.sh | sed 's/^build_packages="//; s/"$//' | tr -s ' \n' ' ')
    wanted=
    for package in $packages; do
        case $package in
        gcc | make | cmake | pkg-config | openmpi-bin | libopenmpi-dev | gnuplot-nox) ;; # run here, or are not needed
        *) wanted="$wanted,$package" ;;
        esac
    done
    # Unpacked only: nothing of it is installed or started.
    # From debootstrap's own mirror, unless AGN_DEBIAN_MIRROR names another.
    debootstrap --foreign --variant=minbase --arch=arm64 --include="${wanted#,}" bookworm "$root" \
        ${AGN_DEBIAN_MIRROR:+"$AGN_DEBIAN_MIRROR"} >"$build/debootstrap.log" 2>&1 ||
        { tail -n 20 "$build/debootstrap.log" >&2 && exit 1; }
    for package in "$root"/var/cache/apt/archives/*.deb; do
        dpkg -x "$package" "$root"
    done
    touch "$root/complete"
fi

AGN_ARM64_ROOT=$(cd "$root" && pwd)
export AGN_ARM64_ROOT
cmake -S . -B "$build" -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/Arm64Toolchain.cmake" >"$build/configure.log" 2>&1 ||
    { cat "$build/configure.log" >&2 && exit 1; }
cmake --build "$build" -j"${JOBS:-$(nproc)}" --target agilenn "$@" >"$build/build.log" 2>&1 ||
    { tail -n 40 "$build/build.log" >&2 && exit 1; }
emulated() {
    QEMU_CPU=$cpu qemu-aarch64-static -L "$AGN_ARM64_ROOT" "$@"
}

run_test() {
    if emulated "$build/tests/$1" >"$build/$1.log" 2>&1; then
        echo "$cpu, $1: passed"
    else
        tail -n 20 "$build/$1.log" >&2
        echo "$cpu, $1: FAILED, see $build/$1.log" >&2
        status=1
    fi
}

list_layers() {
    name=$(basename "$1" .ini)
    if ! emulated "$build/agilenn" bench forward --preset "$1" --batch 1 --repeats 1 --json >"$build/$name.json" 2>"$build/$name.log"; then
        cat "$build/$name.log" >&2
        status=1
        return
    fi
    layers=$(grep -c '"code"' "$build/$name.json" || true)
    reference=$(sed -n 's/.*"reference_layers": \([0-9]*\).*/\1/p' "$build/$name.json")
    codes=$(grep -o '"code": "[^"]*"' "$build/$name.json" | sort | uniq -c | sed 's/ *\([0-9]*\) "code": "\(.*\)"/\1 by \2/' | paste -sd, -)
    echo "$cpu, $name: $layers layers, $codes; without fast code: $reference"
    [ "$reference" = 0 ] && [ "$layers" -gt 0 ] || status=1
}

status=0
for cpu in cortex-a72 max; do
    for test in "$@"; do
        run_test "$test"
    done
    for preset in presets/*.ini; do
        grep -q '^system = local-only' "$preset" || list_layers "$preset" # it has no Remote NN
    done
done
[ "$status" -eq 0 ] || echo "check-arm64.sh: not everything is as it should be on arm64" >&2
exit $status
