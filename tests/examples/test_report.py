"""The report of a run of train.py."""

import json
import re

import numpy as np
import pytest
from programs import SMALL, run_here
from tiny_cifar import write_tiny_cifar

from odyssey.report.page import build_page

NORMS = ["--model", "resnet18"], ["--model", "resnet50", "--pre-activation"]


@pytest.mark.parametrize("model", NORMS, ids=" ".join)
def test_a_run_keeps_what_its_report_shows(tmp_path, model):
    write_tiny_cifar(tmp_path / "data")
    places = ["--data-dir", tmp_path / "data", "--weights-dir", tmp_path / "run"]
    options = ["--epochs", 1, "--drop-path", 0.5, "--val-split", 30, *model]
    result = run_here("train", *places, *SMALL, *options)
    assert result.exit_code == 0, result.output

    page = build_page(tmp_path / "run", "a run")
    assert "Left out" not in page
    assert page.count("<img") > 10

    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    kernels = {n.removesuffix("_kernel") for n in manifest["tensors"] if "_kernel" in n}
    profile = json.loads((tmp_path / "run" / "profile.json").read_text())
    rows = {row["name"]: row for row in profile["rows"]}
    norms = {n.removesuffix("_gamma") for n in manifest["tensors"] if "_gamma" in n}
    assert {
        name for name in rows if re.search("conv|_proj|bn", name)
    } == kernels | norms
    assert "relu" in rows
    for name in (*kernels, "linear", "global_avgpool2d", "cross_entropy"):
        assert rows[name]["forward"] > 0 and rows[name]["backward"] > 0
    assert rows["sgd_momentum_update_inplace"]["other"] > 0
    timed = sum(t for row in rows.values() for t in row.values() if t != row["name"])
    assert 0.3 * profile["seconds"] < timed <= profile["seconds"]

    accuracies = re.search(
        r"val loss \S+ accuracy (\S+)%, test loss \S+ accuracy (\S+)%", result.output
    )
    with np.load(tmp_path / "run" / "evaluation.npz") as kept:
        for part, percent in zip(("val", "test"), accuracies.groups(), strict=True):
            right = kept[f"{part}_labels"] == kept[f"{part}_predicted"]
            assert 100 * right.mean() == pytest.approx(float(percent), abs=0.01)
