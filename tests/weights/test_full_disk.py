"""A full disk, simulated by a limit on the size of files."""

import subprocess
import sys

import pytest

from odyssey.weights.checkpoint import load_newest_checkpoint
from odyssey.weights.folder import load_folder
from odyssey.weights.hexfile import load_tensor

pytest.importorskip("resource")

PROGRAM = """
import resource, signal, sys
import numpy as np
from odyssey.weights.checkpoint import save_checkpoint
from odyssey.weights.folder import save_folder
from odyssey.weights.hexfile import save_tensor

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
root = sys.argv[1]

def save(step, count):
    tensors = {"a": np.full(10, step), "b": np.full(count, step)}
    for act in (
        lambda: save_tensor(tensors["b"], f"{root}/one.weights"),
        lambda: save_folder(tensors, f"{root}/run", metadata={}),
        lambda: save_checkpoint(f"{root}/run", step, tensors, {}, keep=1),
    ):
        try:
            act()
        except OSError as error:
            print(type(error).__name__, error.errno, error.filename)

save(1, 10)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
save(2, 100_000)
"""


def test_what_was_there_is_intact_and_nothing_lies_about(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3
    assert all("weights" in line for line in said)  # each names its file
    assert load_tensor(tmp_path / "one.weights").tolist() == [1] * 10
    assert load_folder(tmp_path / "run").tensors["b"].tolist() == [1] * 10
    assert load_newest_checkpoint(tmp_path / "run").step == 1
    assert not list(tmp_path.rglob(".*"))
    assert len(list(tmp_path.rglob("*"))) == 1 + 1 + 3 + 2 + 3
