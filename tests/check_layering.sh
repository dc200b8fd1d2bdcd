#!/bin/sh
# Checks that every #include follows the direction of the rooms (docs/ARCHITECTURE.md).
# usage: check_layering.sh [TREE]; without TREE, checks itself first and then AGN_SOURCE_DIR.
# Prints one line per forbidden include. Tests, fuzzers and benchmarks may include anything.
set -eu

# table TREE HEAD "I J": cells I and J of each row of the table of docs/ARCHITECTURE.md whose head row begins with HEAD, as
# "cell:cell"
table() {
    awk -v head="$2" -v columns="$3" '
        index($0, head) == 1 { inside = 1; getline; next }
        inside && !/^\|/ { inside = 0 }
        inside {
            gsub(/`/, "")
            count = split($0, cell, "|")
            split(columns, wanted, " ")
            first = cell[wanted[1] + 1]
            second = cell[wanted[2] + 1]
            gsub(/^ +| +$/, "", first)
            gsub(/^ +| +$/, "", second)
            print first ":" second
        }' "$1/docs/ARCHITECTURE.md"
}

# Checks the tree $1; prints violations and returns 1 if there are any.
check_tree() {
    tree=$1
    allowed_rooms=$(table "$tree" '| room | may use |' '1 2')
    public_headers=$(table "$tree" '| room | folder |' '1 3')
    libraries=$(table "$tree" '| header | only in |' '1 2')
    (cd "$tree" && find wire device firmware/drivers include src -name '*.[ch]' 2>/dev/null | sort) >"$work/files"
    awk -v tree="$tree" -v allowed_rooms="$allowed_rooms" -v public_headers="$public_headers" -v libraries="$libraries" '
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
            # Freestanding rooms share a folder of includes: what their row does not list is private.
            for (room_name in freestanding)
                if ((freestanding[room_name] name) in known) {
                    internal = public_room[name] != room_name
                    return room_name
                }
            return ""
        }

        function is_freestanding(room) {
            return room == "wire" || room == "device" || room == "drivers"
        }

        function check_system(name) {
            if (is_freestanding(room)) {
                if (name !~ /^(stddef|stdint|stdbool|string|arm_acle|arm_mve)\.h$/)
                    complain(room "/ is freestanding: only stddef.h, stdint.h, stdbool.h, string.h, arm_acle.h, arm_mve.h")
                return
            }
            for (library in only_in)
                if (name ~ library && !may_include(only_in[library]))
                    complain("only " only_in[library] " may use " library)
        }

        function may_include(places, list, n, i) {
            n = split(places, list, " ")
            for (i = 1; i <= n; i++)
                if (index(path, list[i]) == 1) return 1
            return 0
        }

        # "a/b.h" of a private header as seen from a room of another name
        function is_foreign_private(name, other) {
            return other != room && internal
        }

        function check_own(name, other) {
            other = room_of_include(name)
            if (other == "")
                complain("belongs to no known room")
            else if (path ~ /^include\// && internal)
                complain("a public header may include public headers only")
            else if (other == "build" && is_freestanding(room))
                complain(room "/ may not use what the host build generates")
            else if (is_foreign_private(name, other))
                complain("a private header of room " other)
            else if (other != room && other != "status" && other != "build" &&
                     index(may_use[room], " " other " ") == 0)
                complain("room " room " may not use room " other)
        }

        function check_file(line) {
            room = room_of_file(path)
            if (!(room in may_use)) {
                print path ":1: belongs to no known room: add it to the tables of docs/ARCHITECTURE.md"
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
            for (i = 1; i <= count; i++) {
                split(lines[i], pair, ":")
                n = split(pair[2], names, " ")
                for (j = 1; j <= n; j++) public_room[names[j]] = pair[1]
            }
            count = split(libraries, lines, "\n")
            for (i = 1; i <= count; i++) {
                split(lines[i], pair, ":")
                n = split(pair[1], names, " ")
                for (j = 1; j <= n; j++) only_in[names[j]] = pair[2]
            }
            freestanding["wire"] = "wire/"
            freestanding["device"] = "device/"
        }
        { files[NR] = $0; known[$0] = 1 }
        END {
            for (i = 1; i <= NR; i++) { path = files[i]; check_file() }
            exit failures > 0
        }' "$work/files" && check_links "$tree" "$allowed_rooms"
}

# What CMakeLists.txt links to each room is in the table, too.
check_links() {
    tr '\n' ' ' <"$1/CMakeLists.txt" | grep -o 'agn_add_room([^)]*)' | awk -v allowed_rooms="$2" '
        BEGIN {
            count = split(allowed_rooms, lines, "\n")
            for (i = 1; i <= count; i++)
                if (split(lines[i], pair, ":") == 2) may_use[pair[1]] = " " pair[2] " "
        }
        {
            gsub(/[()]/, " ")
            room = $2
            uses = 0
            if (!(room in may_use)) {
                print "CMakeLists.txt: room " room " is not in the tables of docs/ARCHITECTURE.md"
                failures++
            }
            for (i = 3; i <= NF; i++) {
                if ($i ~ /^[A-Z]+$/) uses = $i == "USES"
                else if (uses && index(may_use[room], " " $i " ") == 0) {
                    print "CMakeLists.txt: room " room " may not link room " $i
                    failures++
                }
            }
        }
        END { exit failures > 0 }'
}

# Puts one include line into a file of a small tree and demands a verdict.
# usage: expect good|bad FILE INCLUDE
expect() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/wire" "$work/tree/device" "$work/tree/src/nn" "$work/tree/${2%/*}"
    mkdir -p "$work/tree/docs"
    cp "$root/docs/ARCHITECTURE.md" "$work/tree/docs/"
    cp "$root/CMakeLists.txt" "$work/tree/"
    touch "$work/tree/wire/agn_wire.h" "$work/tree/wire/agn_status.h" "$work/tree/device/agn_device.h" \
        "$work/tree/src/nn/graph.h" "$work/tree/device/agn_simd.h"
    printf '/* probe */\n#include %s\n' "$3" >"$work/tree/$2"
    if check_tree "$work/tree" >"$work/verdict"; then verdict=good; else verdict=bad; fi
    if [ "$verdict" != "$1" ] || { [ "$verdict" = bad ] && ! grep -q -e "^$2:[12]:" "$work/verdict"; }; then
        cat "$work/verdict" >&2
        echo "self-test: #include $3 in $2 came out $verdict, expected $1" >&2
        exit 1
    fi
}

# Links a room to another one in a small tree and demands a verdict. usage: expect_link good|bad ROOM USED
expect_link() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/docs"
    cp "$root/docs/ARCHITECTURE.md" "$work/tree/docs/"
    printf 'agn_add_room(%s SOURCES src/%s\n  USES base %s LIBRARIES agn_jansson)\n' "$2" "$2" "$3" >"$work/tree/CMakeLists.txt"
    if check_tree "$work/tree" >"$work/verdict"; then verdict=good; else verdict=bad; fi
    if [ "$verdict" != "$1" ]; then
        echo "self-test: room $2 linked to $3 came out $verdict, expected $1" >&2
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
    expect bad src/xai/ig.c '"nn/graph.h"'
    expect bad src/deploy/export.c '"agn_simd.h"'
    expect bad src/train/joint.c '"model/model_internal.h"'
    expect bad src/edge/edge.c '"agilenn/train.h"'
    expect bad src/edge/edge.c '"agilenn/sets.h"'
    expect good src/edge/edge.c '"agilenn/model.h"'
    expect bad src/server/serve.c '"agilenn/model.h"'

    expect bad src/newroom/file.c '"agilenn/base.h"'
    expect bad src/model/preset.c '<matio.h>'
    expect bad src/train/run.c '<curl/curl.h>'
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
    expect bad src/measure/rivals.c '<coap3/coap.h>'
    expect bad src/client/run.c '<coap3/coap.h>'
    expect good src/monitor/monitor.c '<microhttpd.h>'
    expect bad src/server/server.c '<microhttpd.h>'
    expect good src/client/dtls.c '<gnutls/dtls.h>'
    expect good src/server/coap_dtls.c '<gnutls/dtls.h>'
    expect bad src/server/server.c '<gnutls/gnutls.h>'
    expect bad src/monitor/monitor.c '"agilenn/nn.h"'
    expect good src/measure/rivals.c '"agilenn/train.h"'
    expect bad src/measure/rivals.c '"train/loss.h"'
    expect bad src/measure/rivals.c '"cli/options.h"'
    expect good src/cli/main.c '"agilenn/plot.h"'
    expect good src/cli/main.c '"cli/options.h"'
    expect good src/cli/main.c '"agn_build.h"'
    expect bad src/cli/main.c '"nn/graph.h"'
    expect bad src/cli/main.c '"nowhere.h"'
    expect bad src/cli/main.c 'SOME_MACRO'
    expect bad include/agilenn/nn.h '"nn/graph.h"'
    expect bad include/agilenn/nn.h '"agilenn/train.h"'
    expect bad include/agilenn/base.h '<oneapi/dnnl/dnnl.h>'
    expect_link bad edge train
    expect_link bad edge sets
    expect_link bad attic base
    expect_link good edge model
}

work=$(mktemp -d "${AGN_TEST_TMP:-${TMPDIR:-/tmp}}/layering.XXXXXX")
trap 'rm -rf "$work"' EXIT

root=${1:-${AGN_SOURCE_DIR:-$(dirname "$0")/..}}
if [ $# -eq 0 ]; then
    check_itself
fi
if check_tree "$root"; then
    echo "layering: $(wc -l <"$work/files") files, every include in order"
else
    echo "layering: the includes above break the direction of the rooms (docs/ARCHITECTURE.md)" >&2
    exit 1
fi
