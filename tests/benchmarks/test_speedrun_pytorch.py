"""speedrun_pytorch.py: what it compares, refuses and writes; not how fast it is."""

import importlib
import json
import sys
from types import SimpleNamespace

import contenders
import numpy as np
import pytest
import speedrun_pytorch
import worker
import workers
from click.testing import CliRunner
from contenders import Contender
from speedrun_cifar10.architecture import SpeedrunConfig

PEER = Contender("peer", "odyssey", (), ("train",))


@pytest.fixture(autouse=True)
def small_and_in_this_process(monkeypatch):
    """Start no processes, and make the network narrow."""

    def start(command, **_):
        monkeypatch.setattr(sys, "argv", command[1:])
        worker.main()
        return SimpleNamespace(returncode=0)

    module = importlib.import_module("odyssey_speedrun")
    config = SpeedrunConfig(width=2)
    monkeypatch.setattr(module.model_inputs, "__defaults__", (config,))
    monkeypatch.setattr(workers.subprocess, "run", start)
    monkeypatch.setattr(contenders, "PEERS", (PEER,))


def run(path, *arguments):
    sizes = ["--batch", "4", "--rounds", "1", "--repeat", "1", "--json", path]
    return CliRunner().invoke(speedrun_pytorch.main, [*map(str, sizes), *arguments])


def test_a_peer_is_checked_timed_and_put_beside(tmp_path):
    path = tmp_path / "times.json"
    done = run(path)
    assert done.exit_code == 0, done.output
    report = json.loads(path.read_text())
    # Odyssey stands in for the peer: a difference of 0 is what must come out
    assert report["differences"] == {
        "peer": {"losses": [0, 1e-3], "gradients": [0, 5e-2]}
    }
    (own,), (peer,) = (
        report["times"][name]["seconds"]["train"] for name in ("odyssey", "peer")
    )
    assert report["ratios"] == {"peer": {"train": [peer / own]}}
    assert f"{peer / own:8.2f} x" in done.output


def test_other_weights_after_the_update_are_refused(tmp_path, monkeypatch):
    check = workers.Workers.check

    def other(self, job, contender):
        found = check(self, job, contender)
        if contender is PEER:
            name = f"{job}: weights g2_conv1_kernel"
            found[name] = found[name] + np.float32(0.01)
        return found

    monkeypatch.setattr(workers.Workers, "check", other)
    done = run(tmp_path / "times.json")
    assert done.exit_code == 1
    assert "peer and odyssey differ: train: weights g2_conv1_kernel" in done.output
