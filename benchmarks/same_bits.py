"""Compare the bits that two checkouts train: SHA-256 of all tensors after 20 steps.

    python benchmarks/same_bits.py OTHER_CHECKOUT
    python benchmarks/same_bits.py . --models resnet18        # the hashes alone

For changes that move code but must not change a number.  Each network is trained by
the train.py of the checkout, in a process of its own, on synthetic images at a small
width.  Everything that draws random numbers or has tensors of its own is on: crops,
flips, RandAugment, mixup, stochastic depth, dropout and the average of weights.  The
hash is that of the checkpoint: parameters, running statistics, momentum and averages.

The bits depend on the processor and on the libraries, so hashes are not stored: two
checkouts are compared on one machine, by one interpreter.  Exits with 1 if they differ.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path("examples/resnet18_cifar10/train.py")
STEPS = 20
COMMON = (
    f"--dataset synthetic --width 8 --batch-size 16 --limit-train {16 * STEPS} "
    f"--limit-test 32 --epochs 1 --max-steps {STEPS} --seed 3 --lr 0.05 --nesterov "
    "--no-progress"
).split()
EVERYTHING = (
    "--mixup-alpha 0.2 --ema-decay 0.9 --drop-path 0.2 --dropout 0.1 --cutout 8 "
    "--randaugment 1 9 --label-smoothing 0.1 --clip-grad-norm 5 --lr-warmup-epochs 1 "
    "--norm-weight-decay 0"
).split()


def runs(models: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield name and options of each network to train."""
    for model in models:
        for name, kind in ((model, []), (f"{model} v2", ["--pre-activation"])):
            yield name, ["--model", model, *kind, *EVERYTHING]
        yield f"{model} plain", ["--model", model, "--no-augment"]


def train(checkout: Path, options: list[str]) -> str:
    """Train; return the SHA-256 of the names and bytes of the final tensors."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(checkout / PROGRAM), *COMMON, *options]
        # the library of the checkout, not the installed one
        path = {"PYTHONPATH": str(checkout)}
        done = subprocess.run(
            [*command, "--weights-dir", folder],
            env={**os.environ, **path},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise click.ClickException(f"{checkout}: {done.stderr.strip()}")
        (checkpoint,) = Path(folder).glob(f"checkpoints/step-{STEPS:08}")
        digest = hashlib.sha256()
        for file in sorted(checkpoint.glob("*.weights")):
            digest.update(file.read_bytes())  # begins with the tensor's name
        return digest.hexdigest()


@click.command(context_settings={"show_default": True})
@click.argument("other", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--models", default="resnet18,resnet20,resnet50")
def main(other: Path, models: str) -> None:
    """Compare this checkout with another one."""
    other, failed = other.resolve(), []
    for name, options in runs(models.split(",")):
        ours = train(ROOT, options)
        theirs = ours if other == ROOT else train(other, options)
        click.echo(f"{name:18} {ours} {'same' if ours == theirs else theirs}")
        failed += [name] if ours != theirs else []
    if failed:
        raise click.ClickException(f"other bits: {', '.join(failed)}")


if __name__ == "__main__":
    main()
