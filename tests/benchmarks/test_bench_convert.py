"""The tasks of the benchmark of convert read and write the same tensors."""

from pathlib import Path

import bench_convert
import numpy as np
import pytest
from resnet18_cifar10.example import EXAMPLE

from odyssey.formats.files import write_tensors
from odyssey.formats.names import from_odyssey

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs the system's peak memory"
)
NETWORK = EXAMPLE.network
CONFIG = NETWORK.models["resnet18"]._replace(width=2)


@pytest.mark.parametrize("task", [t for t in bench_convert.TASKS if "torch" not in t])
def test_each_task_keeps_the_tensors(tmp_path, task):
    params, state = NETWORK.initialize(CONFIG, 0)
    tensors = from_odyssey(NETWORK, {**params, **state}, CONFIG)
    counters = {"bn1.num_batches_tracked": np.array(0)}
    write_tensors(tmp_path / "a.pth", {**tensors, **counters}, {})
    found = bench_convert.work(task, tmp_path / "a.pth", tmp_path)
    assert found["digests"] == [bench_convert.digest(tensors)]
    assert found["seconds"] > 0 and found["peak"] >= 0


def test_another_number_is_noticed():
    x = np.ones(3, np.float32)
    others = [{"a": x * 2}, {"a": x.astype(float)}, {"a": x[None]}, {"a": x, "b": x}]
    assert bench_convert.digest({"b": x}) == bench_convert.digest({"a": x})
    assert bench_convert.digest({"a": x}) not in map(bench_convert.digest, others)
