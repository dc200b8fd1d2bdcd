#!/bin/sh
# The Debian packages: made by CPack, looked at by lintian where that is installed, installed by dpkg into an empty root,
# used from there, and removed without a trace but for the settings.
set -eu
# shellcheck source=tests/support/lib.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/lib.sh"
build=${AGN_BINARY_DIR:?the build folder}
need file dpkg dpkg-deb dpkg-shlibdeps cpack
(cd "$build" && cpack -G DEB -B "$tmp/debs") >"$tmp/cpack.out" 2>&1 || die "cpack"
command=$(echo "$tmp"/debs/agilenn_*.deb)
libraries=$(echo "$tmp"/debs/libagilenn-dev_*.deb)
[ -f "$command" ] && [ -f "$libraries" ] || die "packages: $(ls "$tmp/debs")"
if command -v lintian >/dev/null; then
    lintian --no-cfg --allow-root --fail-on error "$command" "$libraries" >"$tmp/lintian.out" 2>&1 || die "lintian"
else
    echo "lintian is not installed: packages not checked by it"
fi

# What the packages say that they need is what this system has.
for package in $(dpkg-deb -f "$command" Depends | sed 's/([^)]*)//g; s/|[^,]*//g' | tr ',' ' '); do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || die "depends on $package"
done
[ "$(dpkg-deb -f "$command" Depends | tr ',' '\n' | wc -l)" -gt 15 ] || die "few dependencies"

# dpkg itself, without being root; maintainer scripts see $DPKG_ROOT and leave this system alone.
there=$tmp/root
mkdir -p "$there/var/lib/dpkg/info" "$there/var/lib/dpkg/updates"
: >"$there/var/lib/dpkg/status"
in_root() {
    dpkg --root="$there" --log="$tmp/dpkg.log" --force-script-chrootless --force-not-root --force-depends --force-bad-path "$@" >"$tmp/dpkg.out" 2>&1
}
in_root -i "$command" "$libraries" || die "dpkg -i"
in_root -i "$command" || die "a second dpkg -i"
[ "$(dpkg-query --admindir="$there/var/lib/dpkg" -W -f '${db:Status-Status} ' agilenn libagilenn-dev)" = "installed installed " ] || die "state after dpkg -i"
[ -s "$there/etc/agilenn/server.conf" ] || die "no settings"
(cd "$tmp" && env -u AGILENN_PRESETS "$there/usr/bin/agilenn" info --preset cifar10-lean-v1 >"$tmp/info.out" 2>&1) || die "the command"
version=$("$there/usr/bin/agilenn" --version | cut -d' ' -f2)
[ "$(dpkg-deb -f "$command" Version)" = "$version-1" ] || die "version $version in package $(dpkg-deb -f "$command" Version)"
# The unit's command line reads the packaged settings, and misses only the model that they name.
"$there/usr/bin/agilenn" serve --config "$there/etc/agilenn/server.conf" >"$tmp/serve.out" 2>&1 && die "served without a model"
grep -q '/var/lib/agilenn/model.safetensors' "$tmp/serve.out" || die "the packaged settings"
PKG_CONFIG_PATH=$there/usr/lib/pkgconfig pkg-config --exists --print-errors agilenn-device || die "agilenn-device.pc"
echo "# of the administrator" >>"$there/etc/agilenn/server.conf"
in_root -r agilenn || die "dpkg -r"
[ -s "$there/etc/agilenn/server.conf" ] || die "removing took the settings"
in_root -P agilenn libagilenn-dev || die "dpkg -P"
left=$(find "$there" -type f -not -path "$there/var/lib/dpkg/*")
[ -z "$left" ] || die "left after purging: $left"
echo "agilenn $version: $(du -k "$command" | cut -f1) and $(du -k "$libraries" | cut -f1) KiB, installed and purged"
