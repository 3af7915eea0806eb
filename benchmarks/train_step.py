"""Time a whole training step of ResNet-18, beside PyTorch's where it is installed.

    python benchmarks/train_step.py [--batch 128] [--threads 2] [--rounds 3]

Each round starts one process for Odyssey and one for PyTorch (2.x, default layout and
channels-last), in turn, so that a machine that slows down slows both.  Both start from
the same weights and batch, and their first losses must agree before anything is timed.
A step is forward, loss, backward and the update with momentum, in float32.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "resnet18_cifar10")]
LR, MOMENTUM = 0.01, 0.9


def make_batch(batch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 32, 32, 3)).astype(np.float32)
    return x.transpose(0, 3, 1, 2), rng.integers(0, 10, batch)


def odyssey_step(batch, threads):
    import numba
    from model import ResNetConfig, backward, forward, initialize

    import odyssey

    numba.set_num_threads(threads)
    config = ResNetConfig()
    params, state = initialize(config, 0)
    velocities = {name: np.zeros_like(param) for name, param in params.items()}
    x, labels = make_batch(batch)

    def step():
        nonlocal state
        logits, state, cache = forward(params, state, x, config)
        loss = odyssey.cross_entropy(logits, labels)
        grad_logits = odyssey.cross_entropy_backward(1.0, logits, labels)
        grads = backward(grad_logits, cache, params, config)
        for name, param in params.items():
            odyssey.sgd_momentum_update_inplace(
                param, grads[name], velocities[name], LR, MOMENTUM
            )
        return loss

    return step


def pytorch_step(batch, threads, channels_last):
    import torch
    from model import ResNetConfig, initialize, network_blocks
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    config = ResNetConfig()
    params, _ = initialize(config, 0)

    def conv_bn(conv, norm, stride, padding):
        kernel = torch.tensor(params[f"{conv}_kernel"])
        K, C, R, _ = kernel.shape
        layer = nn.Conv2d(C, K, R, stride, padding, bias=False)
        layer.weight.data = kernel
        return nn.Sequential(layer, nn.BatchNorm2d(K))

    class Block(nn.Module):
        def __init__(self, block):
            super().__init__()
            name, stride = block.name, block.stride
            self.first = conv_bn(f"{name}_conv1", f"{name}_bn1", stride, 1)
            self.second = conv_bn(f"{name}_conv2", f"{name}_bn2", 1, 1)
            self.shortcut = nn.Identity()
            if block.has_projection:
                self.shortcut = conv_bn(f"{name}_proj", f"{name}_proj_bn", stride, 0)

        def forward(self, x):
            h = self.second(F.relu(self.first(x), inplace=True))
            return F.relu(h + self.shortcut(x), inplace=True)

    head = nn.Linear(512, 10)
    head.weight.data = torch.tensor(params["fc_weights"])
    head.bias.data = torch.tensor(params["fc_bias"])
    model = nn.Sequential(
        conv_bn("conv1", "bn1", 1, 1),
        nn.ReLU(inplace=True),
        *map(Block, network_blocks(config)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        head,
    )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    x, labels = map(torch.tensor, make_batch(batch))
    x = x.contiguous(memory_format=layout)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


CONTENDERS = {
    "odyssey": odyssey_step,
    "pytorch": lambda *sizes: pytorch_step(*sizes, channels_last=False),
    "pytorch-channels-last": lambda *sizes: pytorch_step(*sizes, channels_last=True),
}


def measure(name, batch, threads, repeat):
    step = CONTENDERS[name](batch, threads)
    first_loss = step()  # compiles; not timed
    step()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    rate = batch / statistics.median(seconds)
    return {"loss": first_loss, "images_per_s": rate, "peak_rss_mib": peak}


@click.command()
@click.option("--batch", default=128, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--repeat", default=4, show_default=True, help="Timed steps a process.")
@click.option("--rounds", default=3, show_default=True, help="Processes of each.")
@click.option("--one", type=click.Choice(list(CONTENDERS)), hidden=True)
def main(batch, threads, repeat, rounds, one):
    """Time ResNet-18's training step in alternating processes."""
    if one:
        click.echo(json.dumps(measure(one, batch, threads, repeat)))
        return
    names = list(CONTENDERS)
    try:
        import torch

        click.echo(f"PyTorch {torch.__version__}, ", nl=False)
    except ImportError:
        click.echo("PyTorch is not installed (pip install torch): Odyssey alone")
        names = names[:1]
    click.echo(f"batch {batch}, {threads} threads, float32")
    results = {name: [] for name in names}
    sizes = [f"--batch={batch}", f"--threads={threads}", f"--repeat={repeat}"]
    for _ in range(rounds):
        for name in names:
            command = [sys.executable, __file__, f"--one={name}", *sizes]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            results[name].append(json.loads(done.stdout))
            expected, got = results["odyssey"][0]["loss"], results[name][-1]["loss"]
            if abs(got - expected) > 1e-4 * expected:
                raise SystemExit(f"losses differ: {expected} and {name}'s {got}")
    for name in names:
        rates = [result["images_per_s"] for result in results[name]]
        pairs = zip(results["odyssey"], results[name], strict=True)
        ratios = [a["images_per_s"] / b["images_per_s"] for a, b in pairs]
        click.echo(
            f"{name:22} {statistics.median(rates):6.1f} images/s "
            f"({min(rates):.1f} to {max(rates):.1f}), peak "
            f"{results[name][-1]['peak_rss_mib']} MiB, odyssey/this "
            f"{statistics.median(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
