"""Run the ResNet-18 programs in this process or in another one."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numba
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "resnet18_cifar10"

#: Steps of an epoch of 100 images with SMALL; the last batch is short.
STEPS = 7
SMALL = ["--width", 4, "--batch-size", 16, "--epochs", 2, "--lr", 0.05, "--threads", 1]

#: Runs a program whose process sends itself a signal: after the line of step N, or
#: before the N-th rename; a signal from outside could not hit these moments.
_SIGNALLED = """
import os, runpy, sys
from odyssey.training.logs import StepLog
signum, where, n = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = iter(range(1, 10**6))
def hooked(real):
    def call(*args, **kwargs):
        if where == "rename" and next(count) == n:
            os.kill(os.getpid(), signum)
        result = real(*args, **kwargs)
        if where == "step" and args[1] == n:
            os.kill(os.getpid(), signum)
        return result
    return call
os.fsync = lambda descriptor: None  # kill -9 loses nothing that was written
if where == "step":
    StepLog.append = hooked(StepLog.append)
else:
    os.rename = hooked(os.rename)
sys.argv = sys.argv[4:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_here(script, *arguments):
    """Run a program in this process; return click's result (exit_code, output)."""
    program = importlib.import_module(f"resnet18_cifar10.{script}")
    threads = numba.get_num_threads()
    try:
        return CliRunner().invoke(program.main, [str(a) for a in arguments])
    finally:
        numba.set_num_threads(threads)


def start(command, **options):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


def run_apart(script, *arguments, **options):
    """Run a program in a process of its own."""
    return start([EXAMPLE / f"{script}.py", *arguments], **options)


def run_signalled(signum, where, n, *arguments):
    """Run train.py, which gets a signal after step n or before the n-th rename."""
    how = ["-c", _SIGNALLED, int(signum), where, n]
    return start([*how, EXAMPLE / "train.py", *arguments])


def weights_of(directory):
    """Return the bytes of all weight files by name."""
    return {p.name: p.read_bytes() for p in sorted(Path(directory).glob("*.weights"))}


def change_manifest(directory, *without, **changes):
    """Edit a manifest as by hand, and remove its checksum."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    manifest.pop("manifest_sha256", None)
    for key in without:
        del manifest[key]
    path.write_text(json.dumps(manifest))


def losses_of(directory):
    """Return the lines of the step log, which hold the losses to the last bit."""
    return (Path(directory) / "steps.jsonl").read_text().splitlines()


def rows_of(directory):
    """Return the rows of metrics without the two columns of times."""
    lines = (Path(directory) / "metrics.csv").read_text().splitlines()
    return [line.split(",")[:6] for line in lines]


def assert_same_run(a, b):
    """Assert that two folders hold the same run, to the last bit."""
    assert losses_of(a) == losses_of(b)
    assert rows_of(a) == rows_of(b)
    assert weights_of(a) == weights_of(b)


def ablate(*arguments, status=0):
    """Run run_ablations.py in this process; return its output."""
    program = importlib.import_module("resnet18_cifar10.run_ablations")
    result = CliRunner().invoke(program.main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result.output
