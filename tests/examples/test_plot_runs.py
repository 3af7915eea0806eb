"""``plot_runs.py``: the curves of runs that have a ``metrics.csv``."""

import pytest
from plot_runs import results_of
from programs import run_apart, run_here

ROWS = """epoch,train_loss,test_accuracy,seconds
1,2.0,0.4,7.5
2,1.5,0.5,7.5
"""


@pytest.fixture
def runs(tmp_path):
    for name, text in (("long", ROWS), ("short", ROWS.rsplit("2,", 1)[0])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(text)
    return [tmp_path / "long", tmp_path / "short"]


def test_each_run_is_a_row_called_after_its_folder(runs):
    long, short = results_of(tuple(runs))
    assert (long.name, short.name) == ("long", "short")
    assert [epoch["test_accuracy"] for epoch in long.runs[0]] == [0.4, 0.5]
    assert len(short.runs[0]) == 1


def test_runs_of_different_lengths_make_a_picture(runs, tmp_path):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    png = tmp_path / "curves.png"
    done = run_apart("plot_runs", *runs, "--png", png)
    assert done.returncode == 0, done.stderr
    with image.open(png) as picture:
        assert picture.format == "PNG" and picture.width > picture.height > 300


def test_a_folder_without_epochs_is_refused(runs, tmp_path):
    (runs[1] / "metrics.csv").write_text(ROWS.splitlines()[0])
    result = run_here("plot_runs", *runs, "--png", tmp_path / "curves.png")
    assert result.exit_code == 2
    assert "short/metrics.csv: expected a row for each epoch" in result.output
    assert not (tmp_path / "curves.png").exists()
