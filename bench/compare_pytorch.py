#!/usr/bin/env python3
"""Joint training step: this engine against PyTorch, same networks, losses and batch, in one run.

usage: bench/compare_pytorch.py [--preset cifar10] [--batch 32] [--threads 2] [--steps 5] [--agilenn build/agilenn]

Builds the networks of a preset in PyTorch from the blocks that `agilenn info` lists, times joint steps (integrated gradients
by the 2-point rule through the frozen reference, double backward) and `agilenn bench train-step` in turn, and
prints both rates and their ratio. Needs python3 with torch (Debian: python3-torch) and a built agilenn.
"""
import argparse
import configparser
import json
import os
import resource
import subprocess
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    sys.exit("compare_pytorch: python3 finds no torch (Debian: apt-get install python3-torch)")


def act(number):
    return (nn.ReLU6, nn.SiLU, nn.Tanh)[number]()


def conv_bn(ic, oc, k, s, groups=1, activation=None):
    layers = [nn.Conv2d(ic, oc, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(oc)]
    return layers + ([activation] if activation is not None else [])


class Shortcut(nn.Module):
    def __init__(self, layers, same):
        super().__init__()
        self.layers, self.same = nn.Sequential(*layers), same

    def forward(self, x):
        y = self.layers(x)
        return x + y if self.same else y


class Excitation(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        s = functional.silu(self.squeeze(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.excite(s))


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.parts = [max(1, c // 8), max(1, c // 8), c]
        self.qkv = nn.Conv2d(c, sum(self.parts), 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        q, k, v = self.qkv(x).flatten(2).split(self.parts, 1)
        weights = torch.softmax(q.transpose(1, 2) @ k, -1)
        return x + self.gamma * (v @ weights.transpose(1, 2)).reshape(x.shape)


def block(kind, ic, p, stride):
    """One block of the language of agn_graph_parse; returns (module, output channels)."""
    number, oc, k, e = p.get("a", 0), p.get("c", ic), p.get("k", 3), p.get("e", 6)
    linear = p.get("l", 0) == 1
    if kind in ("conv", "dw"):
        oc = ic if kind == "dw" else oc
        return nn.Sequential(*conv_bn(ic, oc, k, stride, ic if kind == "dw" else 1,
                                      None if linear else act(number))), oc
    if kind == "attention":
        return Attention(ic), ic
    if kind == "up":
        return nn.Upsample(scale_factor=p.get("s", 2)), ic
    same, inner = stride == 1 and ic == oc, ic * e
    if kind == "fused":
        layers = (conv_bn(ic, inner, k, stride, 1, act(1)) + conv_bn(inner, oc, 1, 1) if e > 1
                  else conv_bn(ic, oc, k, stride, 1, act(1)))
        return Shortcut(layers, same), oc
    number = 1 if kind == "mbse" else number
    layers = conv_bn(ic, inner, 1, 1, 1, act(number)) if e > 1 else []
    layers += conv_bn(inner, inner, k, stride, inner, act(number))
    if kind == "mbse":
        layers.append(Excitation(inner, max(1, ic // 4)))
    return Shortcut(layers + conv_bn(inner, oc, 1, 1), same), oc


def network(text, channels, classes=None):
    layers = []
    for token in text.split():
        kind, *pairs = token.split(":")
        p = {pair[0]: int(pair[1:]) for pair in pairs}
        for i in range(p.get("n", 1)):
            module, channels = block(kind, channels, p, p.get("s", 1) if i == 0 else 1)
            layers.append(module)
    if classes is not None:
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers), channels


class Joint:
    def __init__(self, preset, blocks, batch):
        data, model = preset["data"], preset["model"]
        joint = preset["joint"] if preset.has_section("joint") else {}
        classes = int(data["classes"])
        self.k, self.rho = int(model.get("local_channels", 5)), float(joint.get("rho", 0.8))
        self.grid = int(model.get("grid", 4))
        self.extractor, c = network(blocks["extractor"], int(data["channels"]))
        self.remote, _ = network(blocks["remote"], c - self.k, classes)
        self.reference, _ = network(blocks["reference"], c, classes)
        self.reference.eval().requires_grad_(False)
        self.local = nn.Linear(self.k * self.grid * self.grid, classes)
        if model.get("logits_bn", "0") == "1":
            self.local = nn.Sequential(self.local, nn.BatchNorm1d(classes))
            self.remote.add_module("bn", nn.BatchNorm1d(classes))
        self.w = nn.Parameter(torch.tensor(-6.0))
        self.x = torch.randn(batch, int(data["channels"]), int(data["height"]), int(data["width"]))
        self.y = torch.arange(batch) % classes
        self.levels = torch.linspace(0, 4, 8)
        with torch.no_grad():
            shape = self.extractor.eval()(self.x[:1]).shape[1:]
        self.extractor.train()
        zero, labels = torch.zeros(classes, *shape, requires_grad=True), torch.arange(classes)
        loss = functional.cross_entropy(self.reference(zero), labels, reduction="sum")
        self.baseline = torch.autograd.grad(loss, zero)[0].detach()
        parts = [self.extractor, self.remote, self.local]
        self.optimiser = torch.optim.SGD([p for m in parts for p in m.parameters()] + [self.w], lr=0.01, momentum=0.9,
                                         nesterov=True)

    def step(self):
        features = self.extractor(self.x)
        first, rest = features[:, :self.k], features[:, self.k:]
        hard = self.levels[torch.bucketize(rest.detach().contiguous(), (self.levels[1:] + self.levels[:-1]) / 2)]
        local = self.local(functional.adaptive_avg_pool2d(first, self.grid).flatten(1))
        alpha = torch.sigmoid(self.w / 6.0)
        fused = alpha * local + (1 - alpha) * self.remote(rest + (hard - rest).detach())
        logits = self.reference(features)
        losses = functional.cross_entropy(logits, self.y, reduction="none")
        gradient = torch.autograd.grad(losses.sum(), features, create_graph=True)[0]
        attributions = features * 0.5 * (gradient + self.baseline[self.y])
        importance = attributions.abs().sum((2, 3))
        share = importance / (importance.sum(1, keepdim=True) + 1e-12)
        skewness = (self.rho - share[:, :self.k].sum(1)).clamp(min=0)
        disorder = (share[:, self.k:].amax(1) - share[:, :self.k].amin(1)).clamp(min=0)
        # Every sample counts here: which ones the untrained reference gets right would be chance.
        loss = (0.3 * functional.cross_entropy(fused, self.y) + 0.3 * functional.cross_entropy(local, self.y)
                + 0.3 * losses.mean() + 0.7 * (skewness + disorder).mean())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def spread(values):
    values = sorted(values)
    return {"min": values[0], "median": values[len(values) // 2], "max": values[-1]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cifar10")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=5, help="timed steps of PyTorch, after one not counted")
    parser.add_argument("--agilenn", default="build/agilenn")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    path = args.preset if args.preset.endswith(".ini") else f"presets/{args.preset}.ini"
    preset = configparser.ConfigParser(comment_prefixes=(";", "#"))
    if not preset.read(path):
        sys.exit(f"compare_pytorch: no preset {path}; run from the repository's root")
    info = subprocess.run([args.agilenn, "info", "--preset", args.preset, "--json"], check=True, stdout=subprocess.PIPE)
    blocks = {network["name"]: network["blocks"] for network in json.loads(info.stdout)["networks"]}
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    joint, rates = Joint(preset, blocks, args.batch), []
    for i in range(args.steps + 1):
        begin = time.perf_counter()
        joint.step()
        if i > 0:
            rates.append(args.batch / (time.perf_counter() - begin))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    command = [args.agilenn, "bench", "train-step", "--preset", args.preset, "--batch", str(args.batch), "--threads",
               str(args.threads), "--json"]
    ours = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    result = {"preset": args.preset, "batch": args.batch, "threads": args.threads, "torch": torch.__version__,
              "pytorch_images_per_s": spread(rates), "pytorch_peak_mib": round(memory, 1), "agilenn": ours,
              "ratio": ours["images_per_s"] / spread(rates)["median"]}
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print(f"PyTorch {torch.__version__}: {spread(rates)['median']:.1f} images/s, {memory:.0f} MiB\n"
              f"agilenn: {ours['images_per_s']:.1f} images/s, {ours['peak_mib']:.0f} MiB\n"
              f"ratio {result['ratio']:.2f}")


if __name__ == "__main__":
    main()
