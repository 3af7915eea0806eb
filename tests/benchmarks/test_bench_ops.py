"""bench_ops.py: what it counts and writes; not how fast anything is."""

import json
from types import SimpleNamespace

import bench_ops
import ceilings
import numpy as np
import pytest
from click.testing import CliRunner
from recording import Recorder

from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.optim import sgd_momentum_update_inplace


@pytest.fixture
def small_ceilings(monkeypatch):
    monkeypatch.setattr(ceilings, "MATRIX", 64)
    monkeypatch.setattr(ceilings, "COPIED", 2**16)


def test_it_accounts_for_a_whole_step(small_ceilings, tmp_path):
    path = tmp_path / "ops.json"
    arguments = ["--batch", "2", "--repeat", "1", "--json", str(path)]
    done = CliRunner().invoke(bench_ops.main, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(path.read_text())
    rows = {(row["op"], row["shape"]): row for row in report["rows"]}
    layer = rows["conv2d", "3x3, 64 to 64, 32x32"]
    assert (layer["calls"], layer["flops"]) == (4, 4 * 2 * 2 * 32 * 32 * 64 * 64 * 9)
    assert rows["sgd_momentum_update_inplace", "all parameters"]["calls"] == 62
    # the image of the stem needs no gradient
    assert ("conv2d_backward, grad_kernel", "3x3, 3 to 64, 32x32") in rows
    assert ("conv2d_backward, grad_input", "3x3, 3 to 64, 32x32") not in rows
    assert 0.2 < sum(row["share"] for row in report["rows"]) < 1
    assert all(rate > 0 for rate in report["ceilings"].values())
    assert "everything between the operations" in done.output


def test_a_file_that_cannot_be_written_is_refused_before_any_work():
    done = CliRunner().invoke(bench_ops.main, ["--json", "/no/such/folder/ops.json"])
    assert done.exit_code == 2
    assert "no folder to write to" in done.output


def test_calls_are_counted_with_their_work_and_the_module_is_left_as_it_was():
    module = SimpleNamespace(
        conv2d=conv2d,
        conv2d_backward=conv2d_backward,
        update=sgd_momentum_update_inplace,
        zeros=np.zeros,
    )
    rng = np.random.default_rng(0)
    x, kernel = (
        rng.standard_normal(s, np.float32) for s in ((2, 3, 8, 8), (4, 3, 3, 3))
    )
    with Recorder([module]) as recorder:
        assert module.zeros is np.zeros
        for _ in range(2):
            out = module.conv2d(x, kernel, stride=2, padding=1)
            module.conv2d_backward(out, x, kernel, 2, 1)
            module.conv2d_backward(out, x, kernel, 2, 1, needs_grad_input=False)
            module.update(kernel, 0 * kernel, 0 * kernel, 0.1)
            recorder.end_step()
    assert module.conv2d is conv2d
    rows = {row.op: row for row in recorder.rows()}
    flops = 2 * 2 * 4 * 4 * 4 * 3 * 9
    assert rows["conv2d"].shape == "3x3 stride 2, 3 to 4, 8x8"
    assert (rows["conv2d"].calls, rows["conv2d"].flops) == (1, flops)
    assert rows["conv2d"].bytes == x.nbytes + kernel.nbytes + out.nbytes
    assert rows["conv2d_backward, grad_input"].flops == flops
    assert rows["conv2d_backward, grad_kernel"].flops == 2 * flops
    update = rows["sgd_momentum_update_inplace"]
    assert (update.flops, update.bytes) == (0, 5 * kernel.nbytes)
    assert update.rate == update.bytes / update.seconds
