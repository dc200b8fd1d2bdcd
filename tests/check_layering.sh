#!/bin/sh
# Checks that every #include follows the direction of the rooms (docs/ARCHITECTURE.md).
# usage: check_layering.sh [TREE]; without TREE, checks itself first and then AGN_SOURCE_DIR.
# Prints one line per forbidden include. Tests, fuzzers and benchmarks may include anything.
set -eu

# room: rooms whose headers it may include, beside its own and agn_status.h (status codes are everybody's).
allowed_rooms='
wire:
device: wire
drivers:
base:
data: base
nn: base
xai: nn base
distributed: base
train: distributed xai nn data base wire
deploy: nn device wire base data train
server: nn deploy wire base
client: device wire base data
modem: base
monitor: server wire base
swarm: client device data base wire
eval: client server deploy train distributed xai nn data base device wire
cli: swarm modem monitor client server eval deploy train distributed xai nn data base device wire
'

# The rooms of the public headers include/agilenn/<name>.h.
public_headers='
base.h base
keys.h base
dtls.h base
data.h data
fetch.h data
nn.h nn
inference.h nn
xai.h xai
distributed.h distributed
train.h train
bench.h train
bench_codec.h eval
preset.h train
deploy.h deploy
targets.h deploy
model_agn.h deploy
server.h server
client.h client
eval.h eval
curves.h eval
modem.h modem
monitor.h monitor
swarm.h swarm
run.h eval
plot.h eval
'

# Checks the tree $1; prints violations and returns 1 if there are any.
check_tree() {
    tree=$1
    (cd "$tree" && find wire device firmware/drivers include src -name '*.[ch]' 2>/dev/null | sort) >"$work/files"
    awk -v tree="$tree" -v allowed_rooms="$allowed_rooms" -v public_headers="$public_headers" '
        function complain(why) {
            print path ":" line_number ": #include " target ": " why
            failures++
        }

        # Room of a source file, from its path.
        function room_of_file(file, parts) {
            split(file, parts, "/")
            if (parts[1] == "wire" || parts[1] == "device") return parts[1]
            if (parts[1] == "src" || parts[1] == "firmware") return parts[2]
            return parts[3] in public_room ? public_room[parts[3]] : ""
        }

        # Room of an include in quotes: "" when unknown. Sets `internal` for headers below src/.
        function room_of_include(name, parts, folder) {
            internal = 0
            if (name == "agn_status.h") return "status"
            if (name == "agn_build.h") return "build"
            if (split(name, parts, "/") > 1) {
                if (parts[1] == "agilenn") return parts[2] in public_room ? public_room[parts[2]] : ""
                internal = 1
                return parts[1] in may_use ? parts[1] : ""
            }
            folder = path
            sub(/[^\/]*$/, "", folder)
            if ((folder name) in known) {
                internal = folder ~ /^src\//
                return room_of_file(folder name)
            }
            if (("wire/" name) in known) return "wire"
            if (("device/" name) in known) return "device"
            return ""
        }

        function is_freestanding(room) {
            return room == "wire" || room == "device" || room == "drivers"
        }

        function check_system(name) {
            if (is_freestanding(room)) {
                if (name !~ /^(stddef|stdint|stdbool|string|arm_acle|arm_mve)\.h$/)
                    complain(room "/ is freestanding: only stddef.h, stdint.h, stdbool.h, string.h, arm_acle.h, arm_mve.h")
            } else if (name ~ /dnnl/ && path !~ /^src\/nn\//) {
                complain("only src/nn may use oneDNN")
            } else if (name ~ /xnnpack|pthreadpool/ && path != "src/nn/xnnpack.c") {
                complain("only src/nn/xnnpack.c may use XNNPACK")
            } else if (name ~ /coap/ && path !~ /^src\/server\//) {
                complain("only src/server may use libcoap")
            } else if (name ~ /gnutls/ && path !~ /^src\/client\// && path != "src/server/coap_dtls.c") {
                complain("only src/client and src/server/coap_dtls.c may use GnuTLS")
            } else if (name ~ /microhttpd/ && path !~ /^src\/monitor\//) {
                complain("only src/monitor may use libmicrohttpd")
            } else if (name ~ /^mpi/ && path != "src/distributed/mpi.c") {
                complain("only src/distributed/mpi.c may use MPI")
            }
        }

        function check_own(name, other) {
            other = room_of_include(name)
            if (other == "")
                complain("belongs to no known room")
            else if (path ~ /^include\// && internal)
                complain("a public header may include public headers only")
            else if (other == "build" && is_freestanding(room))
                complain(room "/ may not use what the host build generates")
            else if (room == "cli" && internal && other != "cli")
                complain("src/cli uses public headers only")
            else if (other != room && other != "status" && other != "build" &&
                     index(may_use[room], " " other " ") == 0)
                complain("room " room " may not use room " other)
        }

        function check_file(line) {
            room = room_of_file(path)
            if (!(room in may_use)) {
                print path ":1: belongs to no known room: add it to the table in tests/check_layering.sh"
                failures++
                return
            }
            line_number = 0
            while ((getline line < (tree "/" path)) > 0) {
                line_number++
                if (line !~ /^[ \t]*#[ \t]*include/) continue
                target = line
                sub(/^[ \t]*#[ \t]*include[ \t]*/, "", target)
                if (match(target, /^<[^>]*>/) || match(target, /^"[^"]*"/)) {
                    target = substr(target, 1, RLENGTH)
                    if (target ~ /^</) check_system(substr(target, 2, RLENGTH - 2))
                    else check_own(substr(target, 2, RLENGTH - 2))
                } else {
                    complain("a computed include hides where it leads")
                }
            }
            close(tree "/" path)
        }

        BEGIN {
            count = split(allowed_rooms, lines, "\n")
            for (i = 1; i <= count; i++)
                if (split(lines[i], pair, ":") == 2) may_use[pair[1]] = " " pair[2] " "
            count = split(public_headers, lines, "\n")
            for (i = 1; i <= count; i++)
                if (split(lines[i], pair, " ") == 2) public_room[pair[1]] = pair[2]
        }
        { files[NR] = $0; known[$0] = 1 }
        END {
            for (i = 1; i <= NR; i++) { path = files[i]; check_file() }
            exit failures > 0
        }' "$work/files"
}

# Puts one include line into a file of a small tree and demands a verdict.
# usage: expect good|bad FILE INCLUDE
expect() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/wire" "$work/tree/device" "$work/tree/src/nn" "$work/tree/${2%/*}"
    touch "$work/tree/wire/agn_wire.h" "$work/tree/wire/agn_status.h" "$work/tree/device/agn_device.h" \
        "$work/tree/src/nn/graph.h"
    printf '/* probe */\n#include %s\n' "$3" >"$work/tree/$2"
    if check_tree "$work/tree" >"$work/verdict"; then verdict=good; else verdict=bad; fi
    if [ "$verdict" != "$1" ] || { [ "$verdict" = bad ] && ! grep -qF "$2:2: #include $3" "$work/verdict"; }; then
        echo "self-test: #include $3 in $2 came out $verdict, expected $1" >&2
        exit 1
    fi
}

check_itself() {
    expect good wire/codec.c '"agn_wire.h"'
    expect good wire/codec.c '<stdint.h>'
    expect bad wire/codec.c '<stdio.h>'
    expect bad wire/codec.c '"agn_device.h"'
    expect bad wire/codec.c '"agn_build.h"'
    expect good device/run.c '"agn_wire.h"'
    expect bad device/run.c '<stdlib.h>'
    expect bad device/run.c '"agilenn/base.h"'
    expect good firmware/drivers/uart.c '"agn_status.h"'
    expect bad firmware/drivers/uart.c '<stdio.h>'
    expect bad firmware/drivers/uart.c '"agn_device.h"'
    expect bad src/modem/esp.c '"drivers/uart.h"'
    expect good src/base/file.c '"agn_status.h"'
    expect good src/base/file.c '"agilenn/base.h"'
    expect bad src/base/file.c '"agn_wire.h"'
    expect bad src/base/file.c '"agilenn/data.h"'
    expect good src/nn/conv.c '"graph.h"'
    expect good src/nn/conv.c '"nn/graph.h"'
    expect good src/nn/conv.c '<oneapi/dnnl/dnnl.h>'
    expect bad src/nn/conv.c '"agilenn/data.h"'
    expect bad src/nn/conv.c '"agilenn/xai.h"'
    expect bad src/xai/ig.c '<oneapi/dnnl/dnnl.h>'
    expect bad src/xai/ig.c '<dnnl.h>'
    expect good src/nn/xnnpack.c '<xnnpack.h>'
    expect bad src/nn/inference.c '<xnnpack.h>'
    expect bad src/nn/inference.c '<pthreadpool.h>'
    expect bad src/xai/ig.c '"train/loss.h"'
    expect good src/train/joint.c '"agilenn/xai.h"'
    expect bad src/train/joint.c '"agilenn/deploy.h"'
    expect good src/deploy/export.c '"agn_device.h"'
    expect bad src/deploy/export.c '"agilenn/server.h"'
    expect good src/distributed/mpi.c '<mpi.h>'
    expect bad src/distributed/group.c '<mpi.h>'
    expect bad src/train/joint.c '<mpi.h>'
    expect bad src/nn/conv.c '"agilenn/distributed.h"'
    expect good src/server/serve.c '<coap3/coap.h>'
    expect bad src/server/serve.c '"agilenn/train.h"'
    expect bad src/client/run.c '"agilenn/nn.h"'
    expect bad src/eval/rivals.c '<coap3/coap.h>'
    expect bad src/client/client.c '<coap3/coap.h>'
    expect good src/monitor/monitor.c '<microhttpd.h>'
    expect bad src/server/server.c '<microhttpd.h>'
    expect good src/client/dtls.c '<gnutls/dtls.h>'
    expect good src/server/coap_dtls.c '<gnutls/dtls.h>'
    expect bad src/server/server.c '<gnutls/gnutls.h>'
    expect bad src/monitor/monitor.c '"agilenn/nn.h"'
    expect good src/eval/rivals.c '"train/loss.h"'
    expect bad src/eval/rivals.c '"cli/options.h"'
    expect good src/cli/main.c '"agilenn/plot.h"'
    expect good src/cli/main.c '"cli/options.h"'
    expect good src/cli/main.c '"agn_build.h"'
    expect bad src/cli/main.c '"nn/graph.h"'
    expect bad src/cli/main.c '"nowhere.h"'
    expect bad src/cli/main.c 'SOME_MACRO'
    expect bad include/agilenn/nn.h '"nn/graph.h"'
    expect bad include/agilenn/nn.h '"agilenn/train.h"'
    expect bad include/agilenn/base.h '<oneapi/dnnl/dnnl.h>'
}

work=$(mktemp -d "${AGN_TEST_TMP:-${TMPDIR:-/tmp}}/layering.XXXXXX")
trap 'rm -rf "$work"' EXIT

if [ $# -eq 0 ]; then
    check_itself
    set -- "${AGN_SOURCE_DIR:-$(dirname "$0")/..}"
fi
if check_tree "$1"; then
    echo "layering: $(wc -l <"$work/files") files, every include in order"
else
    echo "layering: the includes above break the direction of the rooms (docs/ARCHITECTURE.md)" >&2
    exit 1
fi
