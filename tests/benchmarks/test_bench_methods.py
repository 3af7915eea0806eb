"""bench_methods.py: what it checks, prints and writes; not how fast anything is."""

import json

import bench_methods
import pytest
from click.testing import CliRunner


def test_every_shape_has_a_line_and_a_row(tmp_path):
    path = tmp_path / "methods.json"
    arguments = ["--rounds", "1", "--limit", "5000", "--json", str(path)]
    done = CliRunner().invoke(bench_methods.main, arguments)
    assert done.exit_code == 0, done.output
    rows = json.loads(path.read_text())["rows"]
    # 5000 numbers: 8 channels with 1 of 4x4 and of 8x8, 16 channels with the first
    assert [(row["C"], row["N"], row["side"]) for row in rows[::3]] == [
        (8, 1, 4),
        (8, 1, 8),
        (16, 1, 4),
    ]
    assert all(row[method] > 0 for row in rows for method in bench_methods.METHODS)
    assert "16 to 16, 1 of 4x4, gradient of the kernel" in done.output
    assert "at worst" in done.output


def test_ways_that_differ_stop_it(monkeypatch):
    def conv2d(x, kernel, bias, stride, padding, method="auto"):
        out = x + (method == "winograd")
        return out

    monkeypatch.setattr(bench_methods, "conv2d", conv2d)
    done = CliRunner().invoke(bench_methods.main, ["--limit", "1100"])
    assert done.exit_code == 1
    assert "the two ways differ" in done.output


@pytest.mark.parametrize("option", ["--stride=3", "--threads=99", "--rounds=0"])
def test_options_that_are_refused(option):
    assert CliRunner().invoke(bench_methods.main, [option]).exit_code == 2
