#!/bin/sh
# The edge server links without training, MPI or readers of data sets, and serves so.
set -eu
# shellcheck source=tests/support/served_model.sh
. "${AGN_SOURCE_DIR:?the source folder}/tests/support/served_model.sh"
alone=${AGN_BINARY_DIR:?the build folder}/tests/edge_alone

ldd "$alone" >"$tmp/ldd.out" || die "ldd"
grep -q libdnnl "$tmp/ldd.out" || die "what computes is missing"
for library in libmpi libcurl libmatio libarchive libhdf5 libmicrohttpd; do
    ! grep -q "$library" "$tmp/ldd.out" || die "linked with $library"
done
nm "$alone" >"$tmp/nm.txt" 2>/dev/null || true
! grep -q 'agn_train_run\|agn_dataset_open\|agn_group_sum' "$tmp/nm.txt" || die "training or data sets are linked in"

make_model
"$alone" "$tmp/a/model.safetensors" >"$tmp/port" 2>"$tmp/alone.err" &
server=$!
for _ in $(seq 150); do
    [ ! -s "$tmp/port" ] || break
    sleep 0.1
done
port=$(cat "$tmp/port")
send_frames 64
kill "$server"
wait "$server" || die "the end of the server"
server=
echo "64 frames through an edge server of $(wc -l <"$tmp/ldd.out") libraries"
