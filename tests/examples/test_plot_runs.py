"""``plot_runs.py``: the curves of runs that have a ``metrics.csv``."""

import os

import pytest
from programs import run_apart, run_here

from odyssey.cli.plot import results_of
from odyssey.series.results import figure

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


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda path: path.unlink(), "No such file or directory"),
        (
            lambda path: path.write_text(ROWS + "3,x,0.5,7\n4,1,0.5,7\n"),
            "line 4: train",
        ),
        (lambda path: (path.unlink(), path.mkdir()), "not a regular file"),
        pytest.param(
            lambda path: (path.unlink(), os.mkfifo(path)),
            "not a regular file",
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes"),
        ),
    ],
)
def test_what_cannot_be_read_is_named(runs, tmp_path, change, message):
    change(runs[1] / "metrics.csv")
    result = run_here("plot_runs", *runs, "--png", tmp_path / "curves.png")
    assert result.exit_code == 2
    assert f"short/metrics.csv: {message}" in result.output
    assert not (tmp_path / "curves.png").exists()


def test_an_epoch_that_is_missing_leaves_its_place_empty(runs, monkeypatch):
    (runs[0] / "metrics.csv").write_text(ROWS.replace("2,1.5", "4,1.5"))
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("odyssey.series.results.png_bytes", lambda picture: picture)
    loss, accuracy = figure(results_of((runs[0],))).axes
    for panel, values in ((loss, [2.0, 1.5]), (accuracy, [0.4, 0.5])):
        (line,) = panel.lines
        assert list(line.get_xdata()) == [1, 4]
        assert list(line.get_ydata()) == values
