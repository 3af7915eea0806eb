"""inference.py without weights loads the model of a checkpoint."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from programs import run_here
from resnet18_cifar10.architecture import MODELS, ResNetConfig, initialize, model_name
from resnet18_cifar10.example import NETWORK
from resnet18_cifar10.weights import save_weights

from odyssey.cli.model_options import recipe_options
from odyssey.training import saved_model
from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState
from odyssey.weights.checkpoint import list_checkpoints, save_checkpoint
from odyssey.weights.files import WeightsError

load_model = partial(saved_model.load_model, NETWORK)

ORIGIN = {"dataset": "cifar10", "classes": [f"kind {k}" for k in range(10)]}


def checkpoint_of(run, config, step=3, averaged=False, origin=ORIGIN, **changes):
    """Save a checkpoint as `Trainer` does; return its state and folder."""
    state = TrainingState.fresh(*initialize(config, seed=step), averaged=averaged)
    for tensors in (state.params, state.averages):
        for tensor in tensors.values():
            tensor += 0.5 * step
    state.step, state.epoch = step, 1
    recipe = Recipe(
        model_name(config),
        "cifar10",
        "none",
        recipe_options(NETWORK, config, num_classes=10),
    )
    metadata = {
        "odyssey": "0.1.0",
        "recipe": recipe.to_dict(),
        "counters": state.counters(),
        **({} if origin is None else {"origin": origin}),
    }
    return state, save_checkpoint(run, step, state.tensors(), metadata | changes)


def same_model(a, b):
    assert a.config == b.config
    for own, other in ((a.params, b.params), (a.state, b.state)):
        assert list(own) == list(other)
        for name, tensor in own.items():
            np.testing.assert_array_equal(tensor, other[name])
    for key in ("dataset", "classes", "step", "epoch"):
        assert a.metadata[key] == b.metadata[key]


CONFIGS = {
    "ResNet-18": ResNetConfig(width=2),
    "narrow CIFAR network": MODELS["resnet20"]._replace(width=2),
    "projections": MODELS["resnet20"]._replace(width=2, shortcut="B"),
    "v2 without batch norm": ResNetConfig(
        width=2, pre_activation=True, normalize=False, dropout=0.25, drop_path=0.5
    ),
    "bottlenecks, 12 outputs": MODELS["resnet50"]._replace(width=1, num_classes=12),
}


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_model_of_a_checkpoint_is_that_of_the_weights(
    tmp_path, capsys, config, averaged
):
    state, checkpoint = checkpoint_of(tmp_path / "run", config, averaged=averaged)
    position = {"step": 3, "epoch": 1}
    save_weights(*state.learned(), config, tmp_path / "weights", ORIGIN | position)
    saved = load_model(tmp_path / "weights")
    assert capsys.readouterr().err == ""
    shutil.copytree(checkpoint, tmp_path / "copy")
    for place in (tmp_path / "run", tmp_path / "run" / "checkpoints", checkpoint):
        same_model(load_model(place), saved)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err == (
            f"weights of the checkpoint {checkpoint}: step 3, epochs finished 1\n"
        )
    same_model(load_model(tmp_path / "copy"), saved)


def test_older_checkpoints_say_no_classes(tmp_path):
    checkpoint_of(tmp_path, ResNetConfig(width=2), origin=None)
    model = load_model(tmp_path)
    assert model.metadata["dataset"] == "cifar10" and "classes" not in model.metadata


def test_damaged_newest_checkpoint(tmp_path, capsys):
    config = ResNetConfig(width=2)
    older, _ = checkpoint_of(tmp_path, config, 3)
    _, newest = checkpoint_of(tmp_path, config, 5)
    (newest / "fc_bias.weights").write_text("fc_bias\n")
    model = load_model(tmp_path)
    np.testing.assert_array_equal(model.params["fc_bias"], older.params["fc_bias"])
    said = capsys.readouterr().err
    assert f"Warning: damaged, trying the one before: {newest}" in said
    assert "step-00000003: step 3, " in said
    with pytest.raises(WeightsError, match="step-00000005"):
        load_model(newest)  # asked for by name
    (tmp_path / "checkpoints" / "step-00000003" / "manifest.json").unlink()
    with pytest.raises(WeightsError, match="none of 2 checkpoints is usable"):
        load_model(tmp_path)
    with pytest.raises(WeightsError, match=r"no manifest\.json"):
        load_model(tmp_path / "checkpoints" / "step-00000003")


def test_weights_count_and_a_newer_checkpoint_is_said(tmp_path, capsys):
    config = ResNetConfig(width=2)
    state, _ = checkpoint_of(tmp_path, config, 3)
    save_weights(*state.learned(), config, tmp_path, {"step": 3})
    assert load_model(tmp_path).metadata["step"] == 3
    assert capsys.readouterr().err == ""
    newer, path = checkpoint_of(tmp_path, config, 5)
    assert (load_model(tmp_path).params["fc_bias"] == state.params["fc_bias"]).all()
    said = capsys.readouterr().err
    assert said == (
        "Warning: the weights are those of step 3; "
        f"--weights-dir {path} takes newer ones\n"
    )
    assert (load_model(path).params["fc_bias"] == newer.params["fc_bias"]).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recipe": None}, "not a checkpoint of a training run"),
        ({"counters": 3}, "not a checkpoint of a training run"),
        ({"recipe": {"model": "standin"}}, "weights of the model 'standin', not of"),
        ({"recipe": {"model": ["resnet18"]}}, r"the model \['resnet18'\], not of"),
        ({"recipe": {"model": "resnet18", "width": "2"}}, "bad width"),
        ({"recipe": {"model": "resnet34"}}, "tensors missing"),
    ],
)
def test_checkpoints_of_other_programs(tmp_path, changes, reason):
    _, path = checkpoint_of(tmp_path, ResNetConfig(width=2), **changes)
    with pytest.raises(WeightsError, match=f"{path.name}: .*{reason}"):
        load_model(path)


def test_folder_with_neither(tmp_path):
    with pytest.raises(WeightsError, match="holds no weights and no checkpoints"):
        load_model(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "nowhere")


def test_program_answers_as_with_the_weights(train, data, tmp_path):
    train("--max-steps", 3, "--ema-decay", 0.5)
    run = tmp_path / "run"
    options = ["--data-dir", data, "--threads", 1, "--json", "--weights-dir"]
    with_weights = run_here("inference", *options, run).stdout
    for path in [*run.glob("*.weights"), run / "manifest.json"]:
        path.unlink()
    (checkpoint,) = list_checkpoints(run)
    for place in (run, checkpoint):
        result = run_here("inference", *options, place)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == json.loads(with_weights)
        assert f"weights of the checkpoint {checkpoint}: step 3, " in result.stderr
