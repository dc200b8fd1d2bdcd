#!/usr/bin/env python3
"""Fits the model of work (src/measure/work.h) to instructions that QEMU counts.

usage: bench/fit_work.py count [build [NETWORK ...]]   exports the networks below, or those named, with random weights, counts each
                                         under QEMU (a Cortex-M7, DSP kernels) and writes bench/golden/work.csv anew, or their rows
       bench/fit_work.py fit [build]     writes src/measure/work_terms.inc from bench/golden/work.csv; build again then
       bench/fit_work.py check [build]   compares the model as built with bench/golden/work.csv; 1 where the error is larger than stated

The networks marked `check` are never fitted to: what `check` says of them is the error that docs/COST.md tells.
"""
import csv
import os
import random
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GOLDEN = os.path.join(ROOT, "bench/golden/work.csv")
TERMS = os.path.join(ROOT, "src/measure/work_terms.inc")
FRAMES = 2
LIMIT = 0.1  # AGN_WORK_ERROR of include/agilenn/cost.h

LEAN, FASHION, ALONE = "cifar10-lean-v1", "fashion-v1", "cifar10-local-only"
# name, fit or check, preset, settings
NETWORKS = [
    ("fashion-v1", "fit", FASHION, []),
    ("lean", "fit", LEAN, []),
    ("paper", "fit", "cifar10-paper", []),
    ("imagenet-lean", "check", "imagenet200-lean", []),
    ("imagenet-paper", "fit", "imagenet200-paper", []),
    ("fashion-local", "check", "fashion-local", []),
    ("cifar-local", "fit", "cifar10-local", []),
    ("fashion-alone", "fit", "fashion-local-only", []),
    ("cifar-alone", "check", ALONE, []),
    ("mcunet", "check", "cifar10-mcunet", []),
    ("fashion-spinn", "fit", "fashion-spinn", []),
    ("cifar-spinn", "check", "cifar10-spinn", []),
    ("fashion-deepcod", "fit", "fashion-deepcod", []),
    ("cifar-deepcod", "fit", "cifar10-deepcod", []),
    ("fashion-raw", "fit", FASHION, ["codec=raw3"]),
    ("fashion-lzw", "fit", FASHION, ["codec=lzw"]),
    ("lean-lzw", "check", LEAN, ["codec=lzw"]),
    ("lean-raw", "check", LEAN, ["codec=raw3"]),
    ("paper-lzw", "fit", "cifar10-paper", ["codec=lzw"]),
    ("paper-raw", "fit", "cifar10-paper", ["codec=raw3"]),
    ("fashion-k8", "fit", FASHION, ["local_channels=8", "grid=2", "extractor=conv:c8:s2 conv:c32"]),
    ("fashion-7x7", "check", FASHION, ["extractor=conv:c16:s2 conv:c24:s2"]),
    ("fashion-5x5", "fit", FASHION, ["extractor=conv:c16:k5:s4 conv:c24", "grid=7"]),
    ("fashion-3", "fit", FASHION, ["extractor=conv:c8 conv:c12:s2 conv:c20"]),
    ("fashion-odd", "fit", FASHION, ["extractor=conv:c7:s2 conv:c15:k1 conv:c21"]),
    ("fashion-dw", "fit", FASHION, ["extractor=conv:c12:s2 dw conv:c24:k1", "grid=1"]),
    ("fashion-dw2", "check", FASHION, ["extractor=conv:c20:s2 dw conv:c28:k1 dw conv:c24:k1", "grid=3"]),
    ("lean-dw", "fit", LEAN, ["extractor=dw:s2 conv:c4:k1 dw conv:c24:k1"]),
    ("lean-8x8", "fit", LEAN, ["extractor=conv:c16:s2 conv:c24:s2"]),
    ("lean-wide", "check", LEAN, ["extractor=conv:c32:s2 conv:c40", "local_channels=10"]),
    ("lean-k4", "fit", LEAN, ["extractor=conv:c16:k4:s4 conv:c32", "grid=2"]),
    ("lean-sep", "check", LEAN, ["extractor=conv:c8:s2 dw conv:c16:k1 dw conv:c32:k1"]),
    ("alone-mb", "fit", ALONE, ["local=conv:c16:s2 mb:c24:e3:s2 mb:c24:e3 mb:c40:e3:k5:s2 mb:c40:e3:k5 conv:c80:k1"]),
    ("alone-mb7", "fit", ALONE, ["local=conv:c12:s2 mb:c20:e4:k7:s2 mb:c20:e4:k7 mb:c36:e3:k7 conv:c64:k1"]),
    ("alone-mb5", "check", ALONE, ["local=conv:c20:s2 mb:c28:e3:k5:s2 mb:c28:e2:k3 mb:c44:e4:k7:s2 mb:c44:e3 conv:c96:k1"]),
    ("alone-conv", "fit", ALONE, ["local=conv:c12:s2 conv:c24:s2 conv:c32 conv:c48:s2 conv:c64:k1", "grid=2"]),
    ("alone-28", "fit", "fashion-local-only", ["local=conv:c10:s2 mb:c16:e4 mb:c24:e4:k5:s2 mb:c24:e4:k5 mb:c32:e4:k7 conv:c50:k1"]),
    ("alone-28b", "check", "fashion-local-only", ["local=conv:c14:s2 dw conv:c30:k1 mb:c30:e3 dw:s2 conv:c60:k1 conv:c60:k1"]),
    ("alone-40", "fit", ALONE, ["data.height=40", "data.width=40", "local=conv:c16:s2 mb:c18:e3:k5 mb:c26:e3:k7:s2 mb:c26:e5:k3 mb:c38:e3:k5:s2"]),
    ("local-mb", "fit", LEAN, ["local=conv:c24:k1 dw:s2 conv:c48:k1 dw conv:c48:k1", "local_channels=6", "grid=2"]),
    ("local-mb2", "check", LEAN, ["extractor=conv:c16:s2 dw conv:c24:k1", "local=conv:c16:k1 mb:c16:e3 dw:s2 conv:c40:k1", "local_channels=8"]),
    ("patches", "fit", "bench/pay/frame96.ini", []),
    ("patches-8", "fit", "bench/pay/frame96.ini", ["extractor=conv:c8:k4:s4:l1 conv:c24:k2:s2"]),
    ("patches-2", "fit", "bench/pay/frame96.ini", ["extractor=conv:c4:k2:s2 conv:c12:k2:s2 conv:c16", "data.height=64", "data.width=64"]),
    ("patches-3", "check", "bench/pay/frame96.ini", ["extractor=conv:c8:k3:s3 conv:c20:k2:s2", "data.height=72", "data.width=72"]),
    ("patches-dw", "fit", "bench/pay/frame96.ini", ["extractor=conv:c4:k4:s4 dw conv:c24:k1"]),
    ("pixels", "fit", "fashion-edge-only", []),
    ("jpeg-grey", "fit", "fashion-edge-only-jpeg", []),
    ("jpeg-grey-20", "fit", "fashion-edge-only-jpeg", ["jpeg_quality=20"]),
    ("jpeg-colour", "fit", "cifar10-edge-only", []),
    ("jpeg-colour-10", "fit", "cifar10-edge-only", ["jpeg_quality=10"]),
    ("jpeg-colour-80", "fit", "cifar10-edge-only", ["jpeg_quality=80"]),
    ("jpeg-colour-30", "check", "cifar10-edge-only", ["jpeg_quality=30"]),
]


def fail(text):
    sys.exit("fit_work.py: " + text)


def export(build, network, path):
    command = [os.path.join(build, "agilenn"), "export", "--preset", network[2], "--output", path, "--json"]
    for setting in network[3]:
        command += ["--set", setting if setting.startswith("data.") else "model." + setting]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    with open(path, "rb") as file:
        head = file.read(64)
    return int.from_bytes(head[16:18], "little") * int.from_bytes(head[18:20], "little") * int.from_bytes(head[20:22], "little")


def write_frames(path, size):
    """Soft random walks, as `agilenn export --preset` has them."""
    rng = random.Random(1)
    pixels = bytearray()
    for _ in range(FRAMES):
        level = rng.uniform(0, 255)
        for _ in range(size):
            level = min(max(level + rng.gauss(0, 12), 0), 255)
            pixels.append(int(level))
    with open(path, "wb") as file:
        file.write(pixels)


def run_app(work, app):
    made = subprocess.run(
        ["make", "-s", "-C", os.path.join(ROOT, "firmware"), "run", "APP=" + app, "OUT=" + os.path.join(work, "out"),
         "MODEL=" + os.path.join(work, "model.agn"), "FRAMES=" + os.path.join(work, "frames.raw"),
         "DEFINES=-DAPP_ARENA_BYTES=245760"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode != 0:
        fail("%s failed: %s" % (app, made.stdout[-600:]))
    return [(name, int(number)) for name, number in re.findall(r"^([a-z0-9 ]+),(\d+)$", made.stdout, re.M)]


def count(build):
    names = sys.argv[3:] or [network[0] for network in NETWORKS]
    rows = []
    if len(sys.argv) > 3:
        with open(GOLDEN, newline="") as file:
            rows = [(row["network"], row["part"], row["instructions"]) for row in csv.DictReader(file) if row["network"] not in names]
    with tempfile.TemporaryDirectory() as work:
        for network in NETWORKS:
            if network[0] not in names:
                continue
            size = export(build, network, os.path.join(work, "model.agn"))
            write_frames(os.path.join(work, "frames.raw"), size)
            found = run_app(work, "count") + run_app(work, "stages")
            with open(os.path.join(work, "model.agn"), "rb") as file:
                pixels_only = file.read(64)[37] == 0
            if not pixels_only:
                found += run_app(work, "layers")
            rows += [(network[0], name, number) for name, number in found if name not in ("frames", "stack")]
            print(network[0], dict(found).get("rows"), file=sys.stderr, flush=True)
    order = [network[0] for network in NETWORKS]
    rows.sort(key=lambda row: order.index(row[0]))
    with open(GOLDEN, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["network", "part", "instructions"])
        writer.writerows(rows)


def measured():
    table = {}
    with open(GOLDEN, newline="") as file:
        for row in csv.DictReader(file):
            table.setdefault(row["network"], {})[row["part"]] = int(row["instructions"])
    return table


def amounts_of(build, network, counts):
    """{part: ({term: amount}, modelled instructions)}"""
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "model.agn")
        export(build, network, path)
        command = [os.path.join(build, "bench/agn_bench_work"), path]
        if counts["bytes"] > 0:
            command += [str((counts["bytes"] + 1151) // 1152), str(counts["bytes"])]
        text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    parts = {}
    for line in text.splitlines():
        part, term, amount = line.split(",")
        entry = parts.setdefault(part, [{}, 0])
        if term == "=":
            entry[1] = int(amount)
        else:
            entry[0][term] = float(amount)
    return parts


def equations(parts, counts):
    """(amounts, instructions) of what was counted by itself."""
    layers = {part: entry for part, entry in parts.items() if part.startswith("layer ")}
    for part, entry in layers.items():
        if entry[0]:
            yield entry[0], counts[part]
    kernels = sum(counts.get(part, 0) for part in layers)
    rest = counts["rows"] - kernels
    if counts["local"] > 0:
        yield parts["local"][0], counts["local"]
        yield parts["flow"][0], rest - counts["local"]
    else:
        both = dict(parts["flow"][0])
        for term, amount in parts["local"][0].items():
            both[term] = both.get(term, 0) + amount
        yield both, rest
    if "packets" in parts:
        yield parts["packets"][0], counts["packets"]


def gauss(gram, right, used):
    """Solves the rows and columns `used` of a symmetric system, with a little damping."""
    table = [[gram[i][j] + (1e-7 * gram[i][i] if i == j else 0.0) for j in used] + [right[i]] for i in used]
    n = len(used)
    for c in range(n):
        pivot = max(range(c, n), key=lambda r: abs(table[r][c]))
        table[c], table[pivot] = table[pivot], table[c]
        for r in range(n):
            if r != c:
                factor = table[r][c] / table[c][c]
                for k in range(c, n + 1):
                    table[r][k] -= factor * table[c][k]
    return {i: table[c][n] / table[c][c] for c, i in enumerate(used)}


def solve(rows, terms):
    """Least squares of relative errors; terms that would cost less than nothing are left out, the worst first."""
    index = {term: i for i, term in enumerate(terms)}
    n = len(terms)
    gram, right = [[0.0] * n for _ in range(n)], [0.0] * n
    for amounts, y in rows:
        if y <= 0:
            continue
        scaled = {index[t]: a / y for t, a in amounts.items()}
        for i, a in scaled.items():
            right[i] += a
            for j, b in scaled.items():
                gram[i][j] += a * b
    used = [i for i in range(n) if gram[i][i] > 0]
    while used:
        found = gauss(gram, right, used)
        worst = min(used, key=lambda i: found[i] * gram[i][i] ** 0.5)
        if found[worst] >= 0:
            return [found.get(i, 0.0) for i in range(n)]
        used.remove(worst)
    return [0.0] * n


def known_terms():
    """Names and what stands in the file: a term that no network meets keeps it."""
    with open(TERMS) as file:
        return {name: float(value) for name, value in re.findall(r"AGN__TERM\((\w+), ([0-9.e+-]+)\)", file.read())}


def fit(build):
    found, rows, counts = known_terms(), [], measured()
    names = list(found)
    for network in NETWORKS:
        if network[1] == "fit":
            rows += list(equations(amounts_of(build, network, counts[network[0]]), counts[network[0]]))
    # Terms that never meet in an equation are solved apart.
    groups, left = [], {term for amounts, _ in rows for term in amounts}
    while left:
        group = {left.pop()}
        while True:
            more = {t for amounts, _ in rows if group & amounts.keys() for t in amounts} - group
            if not more:
                break
            group |= more
        left -= group
        groups.append([t for t in names if t in group])
    for group in groups:
        own = [row for row in rows if row[0].keys() & set(group)]
        found.update(zip(group, solve(own, group)))
    with open(TERMS, "w") as file:
        file.write("/* Made by bench/fit_work.py: what is counted, and the instructions of one of it on a Cortex-M7 (work.h,\n"
                   " * work_amounts.c). */\n")
        for name in names:
            file.write("AGN__TERM(%s, %.4g)\n" % (name, found[name]))


def check(build):
    counts, errors, kinds = measured(), {"fit": [], "check": []}, {"fit": [], "check": []}
    print("%-16s %-6s %12s %12s %7s %10s %10s %7s" % ("network", "use", "rows", "modelled", "error", "packets", "modelled", "error"))
    for network in NETWORKS:
        own = counts[network[0]]
        parts = amounts_of(build, network, own)
        rows = sum(entry[1] for part, entry in parts.items() if part != "packets")
        packets = parts["packets"][1] if "packets" in parts else 0
        error = rows / own["rows"] - 1
        errors[network[1]].append(abs((rows + packets) / (own["rows"] + own["packets"]) - 1))
        kinds[network[1]].append(abs(error))
        text = "%-16s %-6s %12d %12d %+6.1f%%" % (network[0], network[1], own["rows"], rows, 100 * error)
        if packets:
            error = packets / own["packets"] - 1
            text += " %10d %10d %+6.1f%%" % (own["packets"], packets, 100 * error)
        print(text)
        if "-v" in sys.argv:
            for part, entry in parts.items():
                if part in own:
                    print("    %-10s %12d %12d %+6.1f%% %s" % (part, own[part], entry[1], 100 * (entry[1] / max(own[part], 1) - 1), sorted(entry[0])))
    for title, table in (("a whole frame", errors), ("rows alone", kinds)):
        for use, list_ in table.items():
            list_.sort()
            print("%s, %s: median %.1f %%, largest %.1f %%" % (use, title, 100 * list_[len(list_) // 2], 100 * list_[-1]))
    return 1 if errors["check"][-1] > LIMIT else 0


def main():
    jobs = {"count": count, "fit": fit, "check": check}
    if len(sys.argv) < 2 or sys.argv[1] not in jobs:
        sys.exit(__doc__)
    build = sys.argv[2] if len(sys.argv) > 2 and sys.argv[2] != "-v" else os.path.join(ROOT, "build")
    sys.exit(jobs[sys.argv[1]](os.path.abspath(build)))


if __name__ == "__main__":
    main()
