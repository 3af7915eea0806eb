"""``compare_architectures.py``: networks under one budget."""

import json
import re

import compare_architectures
import pytest
from click.testing import CliRunner

from odyssey.cli import compare
from odyssey.cli.find_example import find_example
from odyssey.errors import InputError
from odyssey.series import comparison
from odyssey.series.comparison import Outcome
from odyssey.training.recipe_file import read_recipe, recipe_names
from odyssey.training.signals import StopRequested

IMAGES = 100  # of the small data set


@pytest.fixture
def comparing(data, tmp_path):
    """Run the program with its results in ``tmp_path / "results"``."""

    def comparing(*words, status=0):
        places = ["--data-dir", data, "--results-dir", tmp_path / "results"]
        words = [str(word) for word in [*places, "--threads", 1, *words]]
        result = CliRunner().invoke(compare_architectures.main, words)
        assert result.exit_code == status, result.output
        return result.output

    return comparing


def epoch(number, accuracy=0.5, seconds=3.0):
    return {
        "epoch": number,
        "train_loss": 1.5,
        "test_accuracy": accuracy,
        "seconds": seconds,
        "images_per_second": 50.0,
    }


@pytest.fixture
def trained(monkeypatch):
    """Replace training; collects each run with the epochs that it was to have.

    50 images/s, and half a second for the evaluation.
    """
    runs = []

    def train_one(run, number, epochs, child):
        runs.append((run, epochs))
        if run.options.count("--max-steps"):
            run.folder.mkdir(parents=True)
            (run.folder / "recipe.yml").write_text("batch_size: 2\n")
            return [epoch(1, seconds=30 * 2 / 50 + 0.5)]
        return [epoch(n + 1) for n in range(epochs)]

    monkeypatch.setattr(compare, "train_one", train_one)
    return runs


def value_of(run, option):
    return run.options[run.options.index(option) + 1]


def test_every_network_has_a_recipe_of_its_own():
    for model, name in compare_architectures.RECIPES.items():
        example = find_example(model)
        assert name in recipe_names(example.recipes)
        assert read_recipe(example.recipes / f"{name}.yml")["model"] == model


def test_networks_are_trained_and_finished_runs_are_kept(comparing, tmp_path):
    words = ["--epochs", 1, "--models", "lenet5", "vgg16_bn:2", "--limit-train", 20]
    said = comparing(*words)
    assert re.findall(r"\d/2 (\S+): done", said) == ["lenet5", "vgg16_bn-width2"]
    results = tmp_path / "results"
    found = json.loads((results / "comparison.json").read_text())
    assert (found["epochs"], found["minutes"], found["limit_train"]) == (1, None, 20)
    lenet, vgg = found["networks"]
    assert (lenet["name"], vgg["name"]) == ("lenet5", "vgg16_bn:2")
    assert (lenet["parameters"], lenet["multiply_adds"]) == (62_006, 651_720)
    for network, folder in ((lenet, "lenet5"), (vgg, "vgg16_bn-width2")):
        head, row = (results / folder / "metrics.csv").read_text().splitlines()
        row = dict(zip(head.split(","), row.split(","), strict=True))
        assert network["epochs"] == 1
        assert network["test_accuracy"] == float(row["test_accuracy"])
        assert network["seconds"] == network["seconds_per_epoch"]
        assert network["seconds"] == float(row["seconds"])
        recipe = read_recipe(results / folder / "recipe.yml")
        assert recipe["model"] == network["model"]
        accuracy = f"{100 * network['test_accuracy']:.2f}"
        assert accuracy in (results / "comparison.md").read_text()
        assert accuracy in said
    pytest.importorskip("matplotlib")
    assert (results / "comparison.png").read_bytes().startswith(b"\x89PNG")
    # the same command again
    assert comparing(*words).count("was finished before") == 2
    assert json.loads((results / "comparison.json").read_text()) == found


def test_minutes_become_as_many_epochs_as_fit(comparing, trained, tmp_path):
    # 100 images at 50 a second, and half a second: 2.5 s an epoch
    said = comparing("--minutes", 0.18, "--models", "lenet5", "resnet18:4")
    assert said.count("2.5 s an epoch, so 4 epochs") == 2
    epochs = [(run.name, wanted) for run, wanted in trained]
    assert epochs == [
        *(("lenet5", 1), ("lenet5", 4)),
        *(("resnet18:4", 1), ("resnet18:4", 4)),
    ]
    timing, whole = trained[2][0], trained[3][0]
    assert (timing.folder.name, whole.folder.name) == (
        *("resnet18-width4-timing", "resnet18-width4"),
    )
    assert not timing.folder.exists()
    assert (value_of(whole, "--width"), value_of(whole, "--epochs")) == ("4", "4")
    assert value_of(whole, "--config") == "resnet18_8epochs"
    assert "--resume" in whole.options and "--overwrite" in timing.options
    found = json.loads((tmp_path / "results" / "comparison.json").read_text())
    assert [n["seconds"] for n in found["networks"]] == [12.0, 12.0]
    assert [n["seconds_per_epoch"] for n in found["networks"]] == [3.0, 3.0]
    # the same command goes on with the plan, another one measures again
    del trained[:]
    comparing("--minutes", 0.18, "--models", "lenet5", "resnet18:4")
    assert [wanted for _, wanted in trained] == [4, 4]
    del trained[:]
    comparing("--minutes", 0.01, "--models", "lenet5")
    assert [wanted for _, wanted in trained] == [1, 1]  # at least one


def test_fewer_images_take_less_time(comparing, trained):
    said = comparing("--minutes", 0.2, "--models", "lenet5", "--limit-train", 50)
    # the 30 steps timed were one epoch of 50 images and no more
    assert "lenet5: 1.7 s an epoch" in said


def test_a_network_named_twice_is_trained_once(comparing, trained):
    comparing("--epochs", 2, "--models", "lenet5", "lenet5", "alexnet", "alexnet:6")
    assert [run.name for run, _ in trained] == ["lenet5", "alexnet", "alexnet:6"]


def test_options_of_train_come_last(comparing, trained, tmp_path):
    comparing("--epochs", 2, "--models", "lenet5", "--", "--precision", "bf16")
    ((run, _),) = trained
    assert run.options[-2:] == ["--precision", "bf16"]
    found = json.loads((tmp_path / "results" / "comparison.json").read_text())
    assert found["options"] == "--precision bf16"


def test_a_failed_run_does_not_stop_the_others(comparing, monkeypatch, tmp_path):
    def train_one(run, number, epochs, child):
        return None if run.name == "lenet5" else [epoch(1, 0.25)]

    monkeypatch.setattr(compare, "train_one", train_one)
    said = comparing("--epochs", 1, "--models", "lenet5", "alexnet", status=1)
    assert "Error: 1 of 2 runs failed" in said
    assert re.search(r"lenet5 +62,006 +651,720 +- +- +- +-\n", said)
    found = json.loads((tmp_path / "results" / "comparison.json").read_text())
    assert [n.get("test_accuracy") for n in found["networks"]] == [None, 0.25]


def test_what_was_done_before_an_interruption_is_written(
    comparing, monkeypatch, tmp_path
):
    def train_one(run, number, epochs, child):
        if run.name == "alexnet":
            child.signum = 2
            raise StopRequested
        return [epoch(1)]

    monkeypatch.setattr(compare, "train_one", train_one)
    said = comparing("--epochs", 1, "--models", "lenet5", "alexnet", status=130)
    assert "the same command continues from there" in said
    found = json.loads((tmp_path / "results" / "comparison.json").read_text())
    assert [n["epochs"] for n in found["networks"]] == [1, 0]


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "Give either --minutes or --epochs."),
        (["--epochs", 1, "--minutes", 2], "Give either --minutes or --epochs."),
        (["--minutes", 0], "0.0 is not in the range x>0"),
        (["--epochs", 1, "--models", "vgg16bn"], "; did you mean vgg16_bn?"),
        (["--epochs", 1, "--models", "googlenet"], "'googlenet' among lenet5, alexnet"),
        (["--epochs", 1, "--models", "lenet5:4"], "lenet5 has no width"),
        (["--epochs", 1, "--models", "resnet18:0"], "0 is not in the range x>=1"),
        (["--epochs", 1, "--models", "resnet18:"], "'' is not a valid"),
        (["--epochs", 1, "--", "--width", 4], "--width cannot come after --"),
        (["--epochs", 1, "--", "--nonsense"], "train.py: No such option: --nonsense"),
        (["--epochs", 1, "--lr", 1], "options of train.py come after --"),
        (["--epochs", 1, "lenet5"], "Got unexpected extra argument"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(
    comparing, trained, words, message, tmp_path
):
    assert message in comparing(*words, status=2)
    assert not trained and not (tmp_path / "results").exists()


def test_without_data_nothing_runs(comparing, trained, tmp_path):
    said = comparing("--epochs", 1, "--data-dir", tmp_path / "none", status=2)
    assert "--dataset synthetic" in said and not trained


OUTCOMES = [
    Outcome("a:8", "a", "short", 1_234, 56_789, [epoch(1, 0.1, 90), epoch(2, 0.625)]),
    Outcome("b", "b", "long", 9, 10, []),
]


def test_the_table():
    assert comparison.cells(OUTCOMES) == [
        list(comparison.HEADER),
        ["a:8", "1,234", "56,789", "2", "46.5", "1.6", "62.50"],
        ["b", "9", "10", "-", "-", "-", "-"],
    ]


def test_without_matplotlib_the_tables_are_written(monkeypatch, tmp_path, capsys):
    def new_figure(width):
        raise InputError("a figure needs Matplotlib")

    monkeypatch.setattr(comparison, "new_figure", new_figure)
    comparison.write_results(OUTCOMES, tmp_path, {"minutes": 3, "epochs": None})
    comparison.report(OUTCOMES, tmp_path)
    said = capsys.readouterr().out
    assert "no comparison.png: a figure needs Matplotlib" in said
    text = (tmp_path / "comparison.md").read_text()
    assert text.startswith("Each network with minutes 3.\n\n| network |")
    assert "| a:8 | 1,234 | 56,789 | 2 | 46.5 | 1.6 | 62.50 |" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("comparison.json", "comparison.md")
    ]
