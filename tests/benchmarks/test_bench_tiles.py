"""bench_tiles.py: what it prints and writes; not how fast anything is."""

import json

import bench_tiles
import pytest
from click.testing import CliRunner

from odyssey import processor


@pytest.fixture(autouse=True)
def without_tiles(monkeypatch):
    monkeypatch.setattr(bench_tiles.processor, "has_amx", lambda: False)
    monkeypatch.setattr(bench_tiles.tiles, "has_amx", lambda: False)


def test_each_product_of_each_layer_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_tiles, "LAYERS", bench_tiles.LAYERS[:2])
    path = tmp_path / "tiles.json"
    given = ["--emulated", "--images", "1", "--rounds", "1", "--json", str(path)]
    result = CliRunner().invoke(bench_tiles.main, given)
    assert result.exit_code == 0, result.output
    assert "64 to 64, 3x3/1, 32x32" in result.output
    written = json.loads(path.read_text())
    assert written["emulated"] and written["in registers"] > 0
    assert [row["layer"] for row in written["rows"]] == [
        list(layer) for layer in bench_tiles.LAYERS
    ]
    for row in written["rows"]:
        assert min(row[name] for name in ("forward", "grad_input", "grad_kernel")) > 0


def test_without_tiles_it_says_why(monkeypatch):
    monkeypatch.setattr(processor, "why_no_amx", lambda: "there are none")
    result = CliRunner().invoke(bench_tiles.main, [])
    assert result.exit_code == 1
    assert result.output == "Error: no tiles: there are none\n"
