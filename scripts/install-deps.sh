#!/bin/sh
# Installs the Debian packages that are missing; says nothing and needs no network when none is.
# usage: scripts/install-deps.sh [build|deb|test|ci]
#   build  compile and run the demo (the default)
#   deb    the same, and what makes Debian packages
#   test   the same, and a compiler and an emulator for the microcontroller
#   ci     the same, and linters, formatter, clang
set -eu

build_packages="gcc make libc6-dev cmake pkg-config libdnnl-dev libxnnpack-dev libpthreadpool-dev libcoap3-dev libgnutls28-dev libmicrohttpd-dev libjpeg62-turbo-dev libpng-dev
  libwebp-dev libheif-dev libgif-dev libtiff-dev libstb-dev zlib1g-dev libjansson-dev libinih-dev libmatio-dev libcurl4-gnutls-dev libarchive-dev nettle-dev libsqlite3-dev libfontconfig-dev
  libopenmpi-dev openmpi-bin libcmocka-dev gnuplot-nox dataset-fashion-mnist"
deb_packages="dpkg-dev file"
test_packages="g++ libcoap3-bin curl gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
ci_packages="git clang clang-format clang-tidy cppcheck libomp-dev libclang-rt-14-dev shellcheck gcc-riscv64-unknown-elf
  python3-unicorn chromium nginx libnginx-mod-stream lintian mandoc"

case ${1:-build} in
build) packages=$build_packages ;;
deb) packages="$build_packages $deb_packages" ;;
test) packages="$build_packages $deb_packages $test_packages" ;;
ci) packages="$build_packages $deb_packages $test_packages $ci_packages" ;;
*)
    echo "install-deps.sh: unknown set '$1': expected build, deb, test or ci" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    # Another system: its own package manager is the user's to run; cmake names what is missing.
    echo "This is not a Debian system, so nothing is installed. Needed: a C11 compiler with OpenMP, cmake, pkg-config," >&2
    echo "oneDNN 2 or 3 (dnnl), XNNPACK and pthreadpool (for arm64), libcoap 3, GnuTLS, libmicrohttpd, libjpeg-turbo, libpng, libwebp, libheif 1.15 (with libde265 and dav1d or libaom), giflib, libtiff 4.5, stb, zlib, jansson, inih, matio," >&2
    echo "libcurl, libarchive, nettle, SQLite 3, fontconfig, cmocka, gnuplot, Open MPI (optional), and Fashion-MNIST as idx.gz files (Debian keeps them in /usr/share/datasets/fashion-mnist)." >&2
    exit 0
fi

missing=
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null || true)
    case $state in
    *not-installed*) missing="$missing $package" ;;
    *installed*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root="env"
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo env"
else
    echo "Debian packages are missing, and neither root nor sudo is at hand to install them. As root, run:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "Installing Debian packages:$missing"
$as_root apt-get update -q
# shellcheck disable=SC2086 # a list of words on purpose
$as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
