"""``train.py --config``, and the recipes that come with the example."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from click.core import ParameterSource
from programs import EXAMPLE, assert_same_run, losses_of, run_here
from resnet18_cifar10.train import main

from odyssey.training.recipe import Recipe
from odyssey.training.recipe_file import read_recipe, recipe_names

CONFIGS = EXAMPLE / "configs"
NAMES = recipe_names(CONFIGS)
SHORT = ["--dataset", "synthetic", "--width", 8, "--batch-size", 16, "--threads", 1]
SHORT += ["--limit-train", 48, "--limit-test", 10]


def options_of(*arguments):
    """Return the options that a command line comes to, before any schedule is new."""
    return main.make_context("train", [str(a) for a in arguments]).params


@pytest.fixture
def reached(monkeypatch):
    """Return what the options are when they reach `train`."""
    seen = []
    monkeypatch.setattr(
        "odyssey.cli.train.train", lambda example, options, *more: seen.append(options)
    )

    def reached(*arguments):
        result = run_here("train", *arguments)
        assert result.exit_code == 0, result.output
        return SimpleNamespace(**vars(seen.pop()), output=result.output)

    return reached


@pytest.fixture
def refused(tmp_path):
    """Return the message that a recipe of this text is refused with."""

    def refused(text, *more):
        path = tmp_path / "mine.yml"
        path.write_text(text)
        result = run_here("train", "--config", path, *more)
        assert result.exit_code == 2, result.output
        message = result.output.splitlines()[-1]
        assert message.startswith("Error: ") and str(path) in message
        return message

    return refused


def test_the_recipes_that_are_there():
    wanted = {"resnet18_plain", "resnet18_fast", "resnet18_cifar", "resnet18_baseline"}
    assert wanted | {"resnet50_cifar", "resnet20_paper"} <= set(NAMES)
    for name in NAMES:
        assert (CONFIGS / f"{name}.yml").read_text().startswith("# ")
        assert read_recipe(CONFIGS / f"{name}.yml")["description"]


def test_the_plain_recipe_is_the_defaults_of_the_command_line():
    plain = options_of("--config", "resnet18_plain")
    defaults = options_of()
    assert plain.pop("config") == CONFIGS / "resnet18_plain.yml"
    assert defaults.pop("config") is None
    width = plain.pop("width"), defaults.pop("width")
    assert width == (None, None)  # the model's own
    assert plain == defaults


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_takes_a_step(name, tmp_path):
    short = [*SHORT, "--val-split", 8, "--max-steps", 1]
    result = run_here("train", "--config", name, *short, "--weights-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert len(losses_of(tmp_path)) == 1
    shipped, ran = (
        read_recipe(CONFIGS / f"{name}.yml"),
        read_recipe(tmp_path / "recipe.yml"),
    )
    given = {"batch_size", "val_split", "description", "shortcut"}
    same = shipped.keys() - given
    assert {key: ran[key] for key in same} == {key: shipped[key] for key in same}
    assert (ran["width"], ran["batch_size"]) == (8, 16)


def test_the_fast_recipe_is_the_triangle_of_its_source():
    values = read_recipe(CONFIGS / "resnet18_fast.yml")
    names = values.keys() & Recipe.__dataclass_fields__.keys() - {"model"}
    for epochs in (26, 8):
        chosen = {name: values[name] for name in names} | {"epochs": epochs}
        recipe = Recipe("net", "cifar10", "none", **chosen)
        T = 100 * epochs  # batches of 500 in 50,000 images
        steps = np.arange(T)
        wanted = 0.2 * np.interp(steps, [0, 0.2 * T, T], [0.2, 1.0, 0.0])
        rates = [recipe.lr_at(int(step), 100) for step in steps]
        np.testing.assert_allclose(rates, wanted, rtol=1e-12, atol=1e-15)


def test_epochs_of_the_paper():
    values = read_recipe(CONFIGS / "resnet20_paper.yml")
    per_epoch = -(-45_000 // values["batch_size"])
    updates = [per_epoch * n for n in (*values["lr_milestones"], values["epochs"])]
    np.testing.assert_allclose(updates, [32_000, 48_000, 64_000], atol=per_epoch / 2)


def test_a_run_is_repeated_from_the_recipe_it_left(tmp_path, monkeypatch):
    first, again = tmp_path / "first", tmp_path / "again"
    choices = ["--lr", "1e-3", "--epochs", 2, "--model", "resnet20", "--cutout", 5]
    choices += ["--pre-activation", "--shortcut", "B", "--no-nesterov", "--seed", 3]
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "yaml", None)  # needed by --config alone
        result = run_here("train", *SHORT, *choices, "--weights-dir", first)
        assert result.exit_code == 0, result.output
    repeat = ["--config", first / "recipe.yml", "--weights-dir", again]
    result = run_here("train", *repeat)
    assert result.exit_code == 0, result.output
    assert_same_run(first, again)
    recipes = [(run / "recipe.yml").read_text() for run in (first, again)]
    assert recipes[0] == recipes[1]


def test_command_line_over_file_over_defaults():
    context = main.make_context(
        "train", ["--lr", "0.4", "--config", "resnet18_fast", "--batch-size", "128"]
    )
    params = context.params
    assert (params["lr"], params["batch_size"]) == (0.4, 128)
    assert (params["cutout"], params["nesterov"]) == (12, True)
    assert params["label_smoothing"] == 0
    source = context.get_parameter_source
    assert source("lr") == ParameterSource.COMMANDLINE
    assert source("cutout") == ParameterSource.DEFAULT_MAP


def test_a_width_in_the_file_is_one_that_was_given(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("model: resnet20\nwidth: 64\nnorm_weight_decay: null\n")
    assert options_of("--config", path)["width"] == 64  # a CIFAR network has 16


def test_epochs_rescale_the_schedule_of_the_file(reached):
    config = ["--config", "resnet20_paper"]
    assert reached(*config).lr_milestones == (91, 136)
    short = reached(*config, "--epochs", 8)
    assert short.lr_milestones == (4, 6)
    assert "from 182 to 8 epochs, lr_milestones [4, 6]" in short.output
    mine = reached(*config, "--epochs", 8, "--lr-milestones", "91,136")
    assert mine.lr_milestones == (91, 136) and "from 182" not in mine.output
    assert reached(*config, "--epochs", 182).lr_milestones == (91, 136)
    assert reached("--epochs", 8).lr_milestones == (100, 150)
    warm = reached("--config", "resnet18_cifar", "--epochs", 3)
    assert warm.lr_warmup_epochs == 0


@pytest.mark.parametrize(
    "text, message",
    [
        ("lr: 1e-4", "lr: '1e-4' is text, not a number; write 1.0e-4"),
        ("lr: 2E3", "write 2.0e+3"),
        ("lr: '0.1'", "write 0.1"),
        ("lr: fast", "lr: 'fast' is text, not a number"),
        ("lr: no", "lr: false is a truth value, not a number; YAML takes yes, no"),
        ("lr: [0.1]", "lr: [0.1] is a list, not a number"),
        ("lr:", "lr: null is no value, not a number"),
        ("lr: .nan", "lr: '.nan' is text"),
        ("lr: -0.1", "lr: -0.1 is not in the range x>0"),
        ("lr: 1.0e+300", "lr: 1e+300 is not a finite number"),
        ("epochs: 26.0", "epochs: 26.0 is a number with a point, not a whole"),
        ("epochs: 26.0", "write 26"),
        ("epochs: 1e3", "write 1000"),
        ("epochs: yes", "epochs: true is a truth value, not a whole number"),
        ("epochs: 0", "epochs: 0 is not in the range x>=1"),
        ("nesterov: 1", "nesterov: 1 is a whole number, not true or false"),
        ("nesterov: 'Yes'", "nesterov: 'Yes' is text, not true or false; write true"),
        ("flip: off", "flip: false is a truth value, not text"),
        ("flip: sometimes", "flip: 'sometimes' is not one of 'none'"),
        ("lr_scheduler: linear", "lr_scheduler: 'linear' is not one of"),
        ("lr_milestones: 100,150", "write [100, 150]"),
        ("lr_milestones: 100", "write [100]"),
        ("lr_milestones: [100, '150']", "'150' is text, not a whole number"),
        ("lr_milestones: [150, 100]", "150,100 is not in increasing order"),
        ("randaugment: [2]", "randaugment: "),
        ("randaugment: [2, 31]", "randaugment: 31 is not in the range"),
        (
            "randaugment: 2 9",
            "'2 9' is text, not a list of whole numbers; write [2, 9]",
        ),
        ("lr_milestones: []", "lr_milestones: needs at least one"),
        ("description: 5", "description: 5 is a whole number, not text"),
        ("epoch: 3", "there is no option 'epoch'; did you mean epochs?"),
        ("batch-size: 3", "did you mean batch_size?"),
        ("LR: 0.1", "there is no option 'LR'; did you mean lr?"),
        ("warmup: 3", "did you mean lr_warmup_epochs or lr_warmup_decay?"),
        ("learning_rate: 0.1", "'learning_rate'; did you mean lr?"),
        ("wd: 0.1", "'wd'; did you mean weight_decay?"),
        ("optimizer: adam", "optimizer: 'adam' is not one of 'sgd', 'muon'"),
        ("adam: true", "'adam'; there is no Adam; --optimizer chooses SGD or Muon"),
        ("model: ResNet18", "model: 'ResNet18' is not one of the choices; did you"),
        ("<<: 3", "there is no option '<<'; --help lists the options"),
        ("weights_dir: x", "weights_dir cannot be in a recipe; give --weights-dir"),
        ("lr: 0.1\nlr: 0.1", "lr is there twice"),
        (
            "lr_warmup_epochs: 3\nlr_scheduler: one-cycle",
            "--lr-warmup-epochs must be 0",
        ),
        ("augment: no\ncutout: 8", "--no-augment excludes --cutout"),
    ],
)
def test_what_is_refused_is_named_with_its_file(refused, text, message):
    assert message in refused(text)


@pytest.mark.parametrize(
    "name, known",
    [
        ("resnet18_fats", "resnet18_fast"),
        ("ResNet18-Fast", "resnet18_fast"),
        ("resnet18_fats.yml", "resnet18_fast"),
        ("baseline", "resnet18_baseline"),
        ("resnet20", "resnet20_paper"),
    ],
)
def test_a_recipe_that_was_probably_meant_is_named(name, known):
    result = run_here("train", "--config", name)
    assert result.exit_code == 2
    wanted = f"there is no recipe {name!r}; did you mean {known}?"
    assert result.output.splitlines()[-1].endswith(wanted)


def test_names_of_recipes_are_listed_when_one_is_unknown():
    result = run_here("train", "--config", "resnet18_slow")
    assert result.exit_code == 2
    assert "'resnet18_slow'" in result.output and ", ".join(NAMES) in result.output


def test_without_pyyaml(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    result = run_here("train", "--config", "resnet18_fast")
    assert result.exit_code == 2
    assert "pip install pyyaml (the extra odyssey-by-hand[yaml])" in result.output
