#!/usr/bin/env python3
"""Estimates joint training steps on several machines (docs/DISTRIBUTED.md explains the model).

Inputs are of one process, from `agilenn bench train-step` and, for what a step sums,
`mpirun -n 2 agilenn bench train-step` (allreduce_mb, allreduces, synchronisations).
"""
import argparse
import math


def estimate(o, machines):
    """Seconds of a step, and its parts that are not hidden."""
    if machines == 1:
        return o.step_ms / 1e3, 0.0, 0.0
    rate = 1e6 * o.mb_per_s
    latency = o.latency_us / 1e6
    # Ring: every machine sends 2 (N - 1)/N of the gradients, in 2 (N - 1) rounds a piece; what the
    # window does not hide counts.
    gradients = 2 * (machines - 1) / machines * 1e6 * o.allreduce_mb / rate
    gradients += o.allreduces * 2 * (machines - 1) * latency
    shown = max(0.0, gradients - o.window * o.step_ms / 1e3)
    # Recursive doubling: log2 N rounds of a latency and the message.
    rounds = math.ceil(math.log2(machines))
    small = rounds * (o.synchronisations * latency + 1e6 * o.synchronised_mb / rate)
    return o.step_ms / 1e3 * (1 + o.unevenness) + shown + small, shown, small


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, required=True, help="images a step on each machine")
    parser.add_argument("--images-per-s", type=float, required=True, help="of one machine")
    parser.add_argument("--allreduce-mb", type=float, required=True, help="gradients summed in a step, 10^6 bytes")
    parser.add_argument("--allreduces", type=float, required=True, help="pieces in which they are summed")
    parser.add_argument("--synchronisations", type=float, required=True, help="small sums in a step")
    parser.add_argument("--synchronised-mb", type=float, required=True, help="bytes of all small sums, 10^6")
    parser.add_argument("--window", type=float, required=True, help="share of a step in which gradients are summed unseen")
    parser.add_argument("--unevenness", type=float, default=0.03, help="by how much the slowest machine is slower")
    parser.add_argument("--mb-per-s", type=float, required=True, help="of the network, each way, 10^6 bytes")
    parser.add_argument("--latency-us", type=float, required=True, help="of a small message, MPI over TCP")
    o = parser.parse_args()
    o.step_ms = 1e3 * o.batch / o.images_per_s
    print("machines  images/s  efficiency  step ms  gradients not hidden ms  small sums ms")
    for machines in (1, 2, 4, 8, 16, 32, 64):
        step, shown, small = estimate(o, machines)
        rate = machines * o.batch / step
        print(f"{machines:8d} {rate:9.0f} {100 * rate / machines / o.images_per_s:9.0f} % {1e3 * step:8.1f}"
              f" {1e3 * shown:12.1f} {1e3 * small:22.1f}")


if __name__ == "__main__":
    main()
