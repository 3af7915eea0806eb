"""bench_scaling.py: what it varies, prints and writes; not how fast anything is."""

import json

import bench_scaling
from click.testing import CliRunner


def test_one_thing_at_a_time_is_varied_and_the_first_measured_again():
    found = bench_scaling.settings((1, 2), (16,), 3)
    assert found[0] == found[-1] == (128, 64, 3)
    assert found[1:-1] == [
        (1, 64, 3),
        (2, 64, 3),
        (128, 16, 3),
        (128, 64, 1),
        (128, 64, 2),
    ]


def test_a_line_and_a_row_for_each(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_scaling, "settings", lambda: [(2, 8, 1), (3, 8, 1)])
    path = tmp_path / "scaling.json"
    arguments = ["--repeat", "1", "--json", str(path)]
    done = CliRunner().invoke(bench_scaling.main, arguments)
    assert done.exit_code == 0, done.output
    rows = json.loads(path.read_text())["rows"]
    assert [(row["batch"], row["width"]) for row in rows] == [(2, 8), (3, 8)]
    assert all(row["seconds"] > 0 for row in rows)
    for line, row in zip(done.output.splitlines()[-2:], rows, strict=True):
        assert line.split()[:3] == [str(row["batch"]), "8", "1"]
        rate = row["batch"] / row["seconds"]
        assert abs(float(line.split()[-1]) - rate) < 0.051
