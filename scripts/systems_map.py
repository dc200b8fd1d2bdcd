#!/usr/bin/env python3
"""Tables of scripts/estimate-systems.sh: FOLDER holds all.json and DATASET-LEVEL.csv of `agilenn estimate`."""
import csv
import json
import sys

MEASURES = (("latency_ms", "latency, ms"), ("energy_mj", "energy, mJ"))


def designs(systems):
    print("| design | accuracy | answers alone | bytes of a frame that is sent | frames sent | instructions, mean | median / mean ms | mean mJ |")
    print("|---|---|---|---|---|---|---|---|")
    for system in sorted(systems, key=lambda s: -(s["accuracy"] or 0)):
        work, cost = system["work"], system["cost"]
        instructions = work["extract_instructions"] + work["local_instructions"] + work["sent_share"] * work["encode_instructions"]
        accuracy = "not known" if system["accuracy"] is None else "%.2f %%" % (100 * system["accuracy"])
        silent = "no" if system["silent_accuracy"] is None else "%.2f %%" % (100 * system["silent_accuracy"])
        print("| `%s` | %s | %s | %.0f (%s) | %.0f %% | %.2f M (%s) | %.1f / %.1f | %.2f |" % (
            system["model"], accuracy, silent, work["packet_bytes"], work["bytes"], 100 * work["sent_share"], instructions / 1e6,
            work["instructions"], cost["median_ms"]["typical"], cost["mean"]["ms"]["typical"], cost["mean"]["mj"]["typical"]))
    print()


def winners(rows, measure, title):
    """A table of clocks over rates: the winner, its value, and the second's."""
    rows = [row for row in rows if row["modelled"] == measure]
    rates = sorted({float(row["rate_kbps"]) for row in rows})
    clocks = sorted({float(row["clock_mhz"]) for row in rows})
    at = {(float(row["rate_kbps"]), float(row["clock_mhz"])): row for row in rows}
    print("| %s | %s |" % (title, " | ".join("%g kbit/s" % rate for rate in rates)))
    print("|---|" + "---|" * len(rates))
    for clock in clocks:
        cells = []
        for rate in rates:
            row = at[rate, clock]
            second = " (%s %.3g)" % (row["second"], float(row["second_value"])) if row["second"] else ""
            cells.append("**%s %.3g**%s" % (row["winner"], float(row["value"]), second))
        print("| %g MHz | %s |" % (clock, " | ".join(cells)))
    print()


def main():
    folder, dataset, levels = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(folder + "/all.json") as file:
        systems = json.load(file)["systems"]
    print("\n## %s\n" % dataset)
    first = systems[0]
    print("At %g MHz and %g kbit/s:\n" % (first["clock_mhz"], first["rate_kbps"]))
    designs(systems)
    for level in levels:
        percent = "%g" % (100 * float(level))
        part = [s["model"] for s in systems if s["accuracy"] is not None and s["accuracy"] >= float(level)]
        print("### %s, %s %% or more\n" % (dataset, percent))
        print("Take part: %s. In bold what costs least; in brackets the second.\n" % ", ".join("`%s`" % name for name in part))
        if len(part) > 1:
            print("![What costs least at which rate and clock](systems-map-%s-%s.svg)\n" % (dataset, percent))
        with open("%s/%s-%s.csv" % (folder, dataset, level)) as file:
            rows = list(csv.DictReader(file))
        for measure, title in MEASURES:
            winners(rows, measure, title)


main()
