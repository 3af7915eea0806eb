"""``train_minimal.py``: short, and with the same bits as train.py."""

import ast
from pathlib import Path

from click.testing import CliRunner
from programs import weights_of
from resnet18_cifar10 import train as program
from resnet18_cifar10 import train_minimal
from resnet18_cifar10.architecture import ResNetConfig

from odyssey.training.recipe import Recipe
from odyssey.training.recipe_file import read_recipe

SOURCE = Path(train_minimal.__file__)
RECIPE = SOURCE.parent / "configs" / "resnet18_8epochs.yml"


def test_the_weights_are_those_of_train_py(
    monkeypatch, tmp_path, data, capsys, one_thread
):
    monkeypatch.setattr(train_minimal, "CONFIG", ResNetConfig(width=4))
    monkeypatch.setattr(train_minimal, "BATCH_SIZE", 16)
    train_minimal.main(3, data, tmp_path / "minimal")
    options = ["--config", "resnet18_8epochs", "--epochs", 3, "--data-dir", data]
    options += ["--width", 4, "--batch-size", 16, "--threads", 1]
    options += ["--weights-dir", tmp_path / "run"]
    result = CliRunner().invoke(program.main, [*map(str, options)])
    assert result.exit_code == 0, result.output
    weights = weights_of(tmp_path / "minimal")
    assert len(weights) == 102
    assert weights == weights_of(tmp_path / "run")
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[1:]
    tested = [float(row.split(",")[5]) for row in rows]
    lines = capsys.readouterr().out.splitlines()
    told = [line.rsplit(" ", 1)[1] for line in lines if line.startswith("epoch ")]
    assert told == [f"{accuracy:.2%}" for accuracy in tested]


def test_its_constants_are_those_of_the_recipe():
    recipe = read_recipe(RECIPE)
    for name in ("batch_size", "lr", "momentum", "weight_decay", "label_smoothing"):
        assert getattr(train_minimal, name.upper()) == recipe[name]
    assert train_minimal.SEED == Recipe("", "", "").seed
    assert ResNetConfig() == train_minimal.CONFIG


def test_it_is_short_and_calls_only_operations_data_and_the_model():
    text = SOURCE.read_text()
    assert len(text.splitlines()) <= 150
    tree = ast.parse(text)
    froms = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    parts = {
        ".".join(name.split(".")[:2]) for name in froms - {"collections.abc", "pathlib"}
    }
    own = {f"resnet18_cifar10.{name}" for name in ("architecture", "model", "weights")}
    used = {f"odyssey.{name}" for name in ("data", "ops", "optim", "schedules")}
    assert parts == own | used
