#!/usr/bin/env python3
"""Forward pass of the Remote NN: this engine against PyTorch's traced and optimised graph, in one run.

usage: bench/compare_pytorch_forward.py [--preset cifar10-paper ...] [--batch 1 32] [--rounds 7] [--seconds 1]
                                        [--threads 2] [--agilenn build/agilenn] [--json]

Builds the Remote NN of each preset in PyTorch from the blocks that `agilenn info` lists, traces and freezes it and lets
torch.jit.optimize_for_inference rewrite it (oneDNN's blocked layouts, BN folded). Then rounds of PyTorch,
`agilenn bench forward` and `agilenn bench forward --int8`, a second each by turns, so that all three meet the same
disturbances. A figure is the median over the rounds of the median over a round's calls, with the rounds' least and
greatest; a ratio is the median of the rounds' ratios. Needs python3 with torch (Debian: python3-torch).
"""
import argparse
import json
import os
import subprocess
import sys
import time

import compare_pytorch
import torch


def output_of(command):
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def optimised(agilenn, preset, batch):
    """The traced graph and its source."""
    info = output_of([agilenn, "info", "--preset", preset, "--json"])
    blocks = {network["name"]: network["blocks"] for network in info["networks"]}
    height, width, _ = info["map"]
    source = torch.rand(batch, info["sent_channels"], height, width)
    with torch.no_grad():
        network, _ = compare_pytorch.network(blocks["remote"], info["sent_channels"],
                                             len(info["classes"]))
        traced = torch.jit.trace(network.eval(), source)
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced)), source


def torch_rate(graph, source, seconds):
    """Median images a second over the calls of so many seconds."""
    rates, end = [], time.perf_counter() + seconds
    with torch.no_grad():
        for _ in range(3):
            graph(source)
        while time.perf_counter() < end or len(rates) < 3:
            begin = time.perf_counter()
            graph(source)
            rates.append(len(source) / (time.perf_counter() - begin))
    return median(rates)


def median(values):
    return sorted(values)[len(values) // 2]


def spread(values):
    return {"min": min(values), "median": median(values), "max": max(values)}


def told(result, name):
    """Rate and ratio, where the processor has the arithmetic."""
    if f"{name}_ratio" not in result:
        return "none on this CPU"
    rate, ratio = result[f"{name}_images_per_s"], result[f"{name}_ratio"]
    return f"{rate['median']:.0f} ({ratio['median']:.2f}x, {ratio['min']:.2f} to {ratio['max']:.2f})"


def compare(args, preset, batch):
    graph, source = optimised(args.agilenn, preset, batch)
    rates = {"pytorch": [], "f32": [], "int8": []}
    command = [args.agilenn, "bench", "forward", "--preset", preset, "--batch", str(batch), "--threads",
               str(args.threads), "--json", "--repeats"]
    last = {}
    for _ in range(args.rounds):
        rates["pytorch"].append(torch_rate(graph, source, args.seconds))
        for compute, more in (("f32", []), ("int8", ["--int8"])):
            known = rates[compute][-1] if rates[compute] else 3 * rates["pytorch"][-1]
            repeats = max(3, int(args.seconds * known / batch))
            last = output_of(command + [str(repeats)] + more)
            if last["compute"] == compute:
                rates[compute].append(last["images_per_s"])
    rates = {name: values for name, values in rates.items() if values}
    result = {"preset": preset, "batch": batch, "threads": args.threads, "rounds": args.rounds,
              "torch": torch.__version__}
    result.update({key: last[key] for key in ("machine", "compiler", "commit", "mflop_per_image")})
    for name, values in rates.items():
        result[f"{name}_images_per_s"] = spread(values)
    for name in rates.keys() - {"pytorch"}:
        result[f"{name}_ratio"] = spread([a / b for a, b in zip(rates[name], rates["pytorch"])])
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", default=["cifar10-paper", "fashion-v1", "cifar10-lean-v1"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each engine in a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--agilenn", default="build/agilenn")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    results = []
    for preset in args.preset:
        for batch in args.batch:
            results.append(compare(args, preset, batch))
            r = results[-1]
            if not args.json:
                print(f"{preset}, batch {batch}, images/s: PyTorch {r['pytorch_images_per_s']['median']:.0f}, "
                      f"f32 {told(r, 'f32')}, int8 {told(r, 'int8')}", flush=True)
    if args.json:
        json.dump(results, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
