"""Measure reading and converting a checkpoint of ResNet-18 beside PyTorch.

    python benchmarks/bench_convert.py --rounds 7

PyTorch writes the checkpoint, with the names of torchvision.  Each task then runs in a
process of its own, the tasks in turn, ``--rounds`` times.  What each of them reads, or
reads back from what it wrote, is first compared with PyTorch's tensors bit by bit.
Prints for each task the median of the seconds, that of its ratios to ``torch.load`` and
a copy of the state dict in the same round, and the most memory beyond that before the
task, in multiples of the file.  What is written is flushed to disk.  The time to import
modules does not count.
"""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import machine
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

READING = "torch.load and copy"
WRITING = "torch.load, copy and torch.save"
TASKS = (
    READING,
    "read",
    "convert to .pth",
    "convert to .safetensors",
    "convert to .npz",
    "convert to a hex folder",
    WRITING,
)
#: What the tasks write, in a temporary folder.
TARGETS = {
    WRITING: "torch.pth",
    "convert to .pth": "copy.pth",
    "convert to .safetensors": "copy.safetensors",
    "convert to .npz": "copy.npz",
    "convert to a hex folder": "hex",
}
Tensors = dict[str, np.ndarray]


def write_checkpoint(path: Path) -> None:
    """Write random weights of ResNet-18 with PyTorch, as training there would."""
    import torch
    from resnet18_cifar10.example import EXAMPLE

    from odyssey.formats.names import from_odyssey

    network = EXAMPLE.network
    config = network.models["resnet18"]
    params, state = network.initialize(config, 0)
    tensors = from_odyssey(network, {**params, **state}, config)
    found = {}
    for name, tensor in tensors.items():
        found[name] = torch.tensor(np.ascontiguousarray(tensor))
        if name.endswith("running_var"):
            counter = name.replace("running_var", "num_batches_tracked")
            found[counter] = torch.tensor(0)
    torch.save(found, path)


def task(name: str, source: Path, target: Path) -> Callable[[], Tensors]:
    """Return the function of a task, which returns the tensors that it has read."""
    if name.startswith("torch"):
        import torch

        torch.set_num_threads(1)  # as here: others only wait for each other

        def with_torch() -> Tensors:
            read = torch.load(source, weights_only=True)
            copy = {key: tensor.clone() for key, tensor in read.items()}
            if name == WRITING:
                with open(target, "wb") as file:
                    torch.save(copy, file)
                    file.flush()
                    os.fsync(file.fileno())
            return {key: tensor.numpy() for key, tensor in copy.items()}

        return with_torch
    from odyssey.cli import conversion
    from odyssey.formats.files import read_tensors

    def read() -> Tensors:
        return read_tensors(source).tensors

    def convert() -> Tensors:
        file, known = conversion.open_source(str(source))
        conversion.convert(file, known, str(source), str(target))
        return file.tensors

    return read if name == "read" else convert


def digest(tensors: Tensors) -> str:
    """Return one checksum of tensors, whatever their names and order."""
    sums = sorted(
        hashlib.sha256(f"{t.dtype} {t.shape}".encode() + t.tobytes()).hexdigest()
        for name, t in tensors.items()
        if not name.endswith("num_batches_tracked")
    )
    return hashlib.sha256("".join(sums).encode()).hexdigest()


def work(name: str, source: Path, folder: Path) -> dict:
    """Run a task once to warm up and once for the record."""
    target = folder / TARGETS.get(name, "hex")
    run = task(name, source, target)
    run()
    _remove(target)  # as for a user, for whom convert replaces nothing unless told to
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    begin = time.perf_counter()
    tensors = run()
    seconds = time.perf_counter() - begin
    peak = _memory("VmHWM") - before
    digests = {digest(tensors)}
    if name in TARGETS:
        from odyssey.formats.files import read_tensors

        digests.add(digest(read_tensors(target).tensors))
    return {"seconds": seconds, "peak": peak, "digests": sorted(digests)}


def _remove(target: Path) -> None:
    """Remove what a task has written, if it has; to free it takes the disk a while."""
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    os.sync()


def _memory(key: str) -> int:
    """Return a number of bytes from the system's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {key} in /proc/self/status")


def in_a_process(name: str, source: Path, folder: Path) -> dict:
    """Return what `work` measures in a process of its own."""
    command = [sys.executable, __file__, "--worker", name, str(source), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@click.command(context_settings={"show_default": True})
@click.option("--rounds", type=click.IntRange(1), default=7)
@click.option("--worker", nargs=3, hidden=True)
def main(rounds: int, worker: tuple[str, str, str] | None) -> None:
    """Compare reading and converting a checkpoint with PyTorch."""
    if worker:
        click.echo(json.dumps(work(worker[0], Path(worker[1]), Path(worker[2]))))
        return
    click.echo(machine.as_text(machine.describe(1, ("torch",))))
    with tempfile.TemporaryDirectory() as name:
        folder, source = Path(name), Path(name, "resnet18.pth")
        write_checkpoint(source)
        size = source.stat().st_size
        click.echo(f"{size:,} bytes, {rounds} rounds")
        found: dict[str, list[dict]] = {name: [] for name in TASKS}
        for _ in range(rounds):
            for one in TASKS:
                found[one].append(in_a_process(one, source, folder))
        (expected,) = found[READING][0]["digests"]
        for one, runs in found.items():
            assert all(run["digests"] == [expected] for run in runs), one
        for one, runs in found.items():
            seconds = statistics.median(run["seconds"] for run in runs)
            ratio = statistics.median(
                run["seconds"] / peer["seconds"]
                for run, peer in zip(runs, found[READING], strict=True)
            )
            peak = max(run["peak"] for run in runs) / size
            click.echo(
                f"{one:32} {seconds * 1000:8.1f} ms  {ratio:6.2f} times PyTorch's time"
                f"  memory {peak:.2f} times the file"
            )


if __name__ == "__main__":
    main()
