"""Tables and figure of a series, with numbers worked out by hand."""

import csv
import io
import os
import re
import sys

import pytest

from odyssey.errors import InputError
from odyssey.series.results import (
    Result,
    cells,
    csv_table,
    markdown_table,
    read_epochs,
    report,
)
from odyssey.series.rows import Published


def runs(accuracies, **columns):
    """Runs of two epochs, by seed, that end with these accuracies."""
    first = {"epoch": 1, "train_loss": 2.0, "test_accuracy": 0.99, "seconds": 3600.0}
    second = {"epoch": 2, "train_loss": 1.0, "seconds": 125.0}
    return {
        seed: [{**first, **columns}, {**second, "test_accuracy": last, **columns}]
        for seed, last in enumerate(accuracies, 1)
    }


@pytest.fixture
def results():
    three = runs([0.90, 0.92, 0.94])
    for epochs, vals in zip(
        three.values(), [(0.5, 0.7), (0.9, 0.8), (0.8, 0.1)], strict=True
    ):
        for epoch, value in zip(epochs, vals, strict=True):
            epoch["val_accuracy"] = value  # the best are 0.7, 0.9, 0.8
    return [
        Result("cosine", 3, three, Published(0.940, 0.941)),
        Result("mixup", 2, runs([0.8765])),
        Result("constant", 1, {}, Published(0.886, 0.909)),
    ]


def test_the_table_by_hand(results):
    assert cells(results)[1:] == [
        # deviations: sqrt((0.02^2 + 0.02^2) / 2), sqrt((0.1^2 + 0.1^2) / 2)
        ["cosine", "3", "80.00 ± 10.00", "92.00 ± 2.00", "1:02:05", "94.0", "94.1"],
        ["mixup", "1 of 2", "-", "87.65", "1:02:05", "-", "-"],
        ["constant", "0 of 1", "-", "-", "-", "88.6", "90.9"],
    ]


def test_markdown_and_csv_read_back(results):
    table = cells(results)
    header, rule, *rows = markdown_table(table).splitlines()
    read = [[c.strip() for c in r.strip("|").split("|")] for r in (header, *rows)]
    assert read == table
    assert re.fullmatch(r"\|---(\|---:){6}\|", rule)
    cosine, mixup, constant = csv.DictReader(io.StringIO(csv_table(results)))
    assert (cosine["row"], cosine["seeds"]) == ("cosine", "1 2 3")
    numbers = [float(text) for text in list(cosine.values())[2:]]
    assert numbers == pytest.approx([0.8, 0.1, 0.92, 0.02, 3725, 0.94, 0.941])
    assert list(mixup.values()) == [
        "mixup",
        "1",
        "",
        "",
        "0.8765",
        "",
        "3725.0",
        "",
        "",
    ]
    assert list(constant.values())[1:] == ["", "", "", "", "", "", "0.886", "0.909"]


ROWS = "epoch,train_loss,test_accuracy,seconds\n1,2.5,0.5,7\n2,1.5,0.25,7\n"


def test_a_row_that_is_being_written_is_not_read(tmp_path):
    (tmp_path / "metrics.csv").write_text(ROWS + "3,1.0")
    first, second = read_epochs(tmp_path)
    assert first == {"epoch": 1, "train_loss": 2.5, "test_accuracy": 0.5, "seconds": 7}
    assert second["epoch"] == 2


@pytest.mark.parametrize(
    "change, message",
    [
        (("2.5", "x"), "line 2: train_loss is 'x', not a finite number"),
        (("1,2.5,0.5", "1"), "line 2: 2 values under 4 columns"),
        (("test_", "tst_"), "line 1: no column test_accuracy"),
        (("2,1.5", "1,1.5"), "line 2: epoch 1 is a duplicate"),
    ],
)
def test_a_damaged_row_is_named(tmp_path, change, message):
    (tmp_path / "metrics.csv").write_text(ROWS.replace(*change))
    with pytest.raises(InputError) as error:
        read_epochs(tmp_path)
    assert str(error.value) == f"{tmp_path / 'metrics.csv'}: {message}"


def test_without_matplotlib(tmp_path, results, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report(results, tmp_path, "--epochs 2", source="a paper")
    printed = capsys.readouterr().out
    assert "no curves.png: a figure needs Matplotlib" in printed
    text = (tmp_path / "results.md").read_text()
    for shown in (printed, text):
        assert "\nPublished figures: a paper.\n" in shown
    assert sorted(os.listdir(tmp_path)) == ["results.csv", "results.md"]
    assert "`--epochs 2`" in text


def test_no_figure_of_no_run(tmp_path, capsys, recwarn):
    report([Result("constant", 1, {})], tmp_path, "")
    printed = capsys.readouterr().out
    assert "results.md and results.csv are in" in printed
    assert "Published figures" not in printed  # there are none
    assert sorted(os.listdir(tmp_path)) == ["results.csv", "results.md"]
    assert not list(recwarn)


def test_the_figure(tmp_path, results):
    pytest.importorskip("matplotlib")
    from PIL import Image

    report(results, tmp_path, "")
    with Image.open(tmp_path / "curves.png") as image:
        colours = image.convert("RGB").getcolors(10**6)
    lines = [c for n, c in colours if n > 100 and max(c) - min(c) > 100]
    assert len(lines) == 2  # two rows have runs
    bands = [c for n, c in colours if n > 10_000 and 20 < max(c) - min(c) < 40]
    assert len(bands) == 1  # a fifth of the colour, for the row with several seeds
