"""LeNet-5: what its folder of three short programs gets from the library."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from lenet5_cifar10 import inference, train
from lenet5_cifar10.model import EXAMPLE, NETWORK, LeNetConfig, backward, forward
from programs import assert_same_run, rows_of

from odyssey.cli.main import main as odyssey_program
from odyssey.cli.series import series_program
from odyssey.data.cifar10 import load_cifar10
from odyssey.data.loader import BatchLoader
from odyssey.gradcheck import gradcheck
from odyssey.ops.loss import cross_entropy
from odyssey.report.page import build_page
from odyssey.report.stored import metrics
from odyssey.series.rows import Ablations, Row
from odyssey.training.recipe_file import read_recipe, recipe_names
from odyssey.training.step import inference as inference_of
from odyssey.weights.checkpoint import list_checkpoints
from odyssey.weights.model import load_weights

CONFIG = LeNetConfig()
SMALL = ["--batch-size", 16, "--epochs", 2, "--lr", 0.02, "--threads", 1]


def run(program, *arguments, status=0):
    """Run a program in this process; return what it printed."""
    result = CliRunner().invoke(program, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def places(data):
    return ["--data-dir", data]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, places):
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    run(train.main, *places, *SMALL, "--weights-dir", folder)
    return folder


def test_the_parameters_are_those_of_the_paper_in_three_colours():
    params, state = NETWORK.initialize(CONFIG, 0)
    sizes = {name: param.size for name, param in params.items()}
    assert sizes == {
        "conv1_kernel": 450,
        "conv1_bias": 6,
        "conv2_kernel": 2400,
        "conv2_bias": 16,
        "fc1_weights": 48_000,
        "fc1_bias": 120,
        "fc2_weights": 10_080,
        "fc2_bias": 84,
        "fc3_weights": 840,
        "fc3_bias": 10,
    }
    assert sum(sizes.values()) == 62_006
    assert state == {}


def test_the_files_are_short():
    def lines(name):
        return len((EXAMPLE.folder / name).read_text().splitlines())

    assert lines("model.py") <= 134
    assert lines("train.py") <= 40 and lines("inference.py") <= 40


def test_gradients_of_the_whole_network(one_thread):
    params, state = NETWORK.initialize(CONFIG, 1)
    names = list(params)
    values = [param.astype(np.float64) for param in params.values()]
    rng = np.random.default_rng(2)
    for name in ("conv1_bias", "conv2_bias"):  # these begin as zero
        values[names.index(name)] += 0.1 * rng.standard_normal(params[name].shape)
    x = rng.standard_normal((2, 3, 32, 32))

    def logits_of(*values):
        return forward(dict(zip(names, values, strict=True)), state, x, CONFIG)[0]

    def grads_of(grad_logits, *values):
        named = dict(zip(names, values, strict=True))
        cache = forward(named, state, x, CONFIG)[2]
        grads = backward(grad_logits, cache, named, CONFIG)
        assert list(grads) == names
        return list(grads.values())

    # a small step: relu and pooling have corners, and there are thousands of them
    worst = gradcheck(logits_of, grads_of, values, samples=12, eps=1e-6)
    assert worst < 1e-6


def test_a_resumed_run_is_the_whole_one(whole, places, tmp_path):
    options = [*places, *SMALL, "--weights-dir", tmp_path]
    run(train.main, *options, "--max-steps", 3)
    said = run(train.main, *options, "--resume", "--max-steps", 9)
    assert "3 steps done" in said
    assert [path.name for path in list_checkpoints(tmp_path)][-1] == "step-00000009"
    run(train.main, *options, "--resume")
    assert_same_run(tmp_path, whole)


def test_verify_finds_weights_and_checkpoints_whole_and_damage(whole, tmp_path, places):
    said = run(odyssey_program, "verify", whole)
    assert "weights, 10 tensors, 62,006 numbers" in said
    assert "checkpoint, 20 tensors, 124,012 numbers" in said
    run(train.main, *places, *SMALL, "--max-steps", 1, "--weights-dir", tmp_path)
    path = tmp_path / "fc3_bias.weights"
    path.write_text(path.read_text().replace("0", "1", 3))
    assert "fc3_bias" in run(odyssey_program, "verify", tmp_path, status=1)


def test_the_report_shows_the_run(whole):
    page = build_page(whole, "LeNet-5")
    assert "Left out" not in page and page.count("<img") > 5
    profile = json.loads((whole / "profile.json").read_text())
    rows = {row["name"]: row for row in profile["rows"]}
    for name in ("conv2d", "linear", "maxpool2d", "relu", "cross_entropy"):
        assert rows[name]["forward"] > 0 and rows[name]["backward"] > 0


def test_tensorboard_gets_the_losses_that_are_logged(places, tmp_path):
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    board = ["--tensorboard", tmp_path / "events", "--tensorboard-every", 1]
    run(train.main, *places, *SMALL, "--max-steps", 3, *board, "--weights-dir", folder)
    shown = EventAccumulator(str(tmp_path / "events")).Reload()
    losses = [(event.step, event.value) for event in shown.Scalars("loss/batch")]
    logged = map(json.loads, (folder / "steps.jsonl").read_text().splitlines())
    assert losses == [(line["step"], np.float32(line["loss"])) for line in logged]
    assert any("conv1_kernel" in tag for tag in shown.Tags()["histograms"])


def test_inference_gives_the_accuracy_of_training(whole, places):
    options = [*places, "--weights-dir", whole, "--json"]
    found = json.loads(run(inference.main, *options))
    assert repr(found["accuracy"]) == rows_of(whole)[-1][5]
    assert found["total"] == 20


def test_mirrored_evaluation_is_the_mean_of_both_sides(whole, places, data):
    loaded = load_weights(NETWORK, whole)
    test = load_cifar10(data)
    x, labels = next(BatchLoader(*test[2:4], 20, shuffle=False).epoch(0))
    predict = inference_of(NETWORK, loaded.params, loaded.state, loaded.config)
    mirrored = np.ascontiguousarray(x[..., ::-1])
    logits = (predict(x) + predict(mirrored)) / 2
    options = [*places, "--weights-dir", whole, "--json", "--tta"]
    found = json.loads(run(inference.main, *options))
    assert found["correct"] == np.count_nonzero(logits.argmax(axis=1) == labels)
    assert found["loss"] == pytest.approx(cross_entropy(logits, labels), rel=1e-6)
    assert found["loss"] != pytest.approx(cross_entropy(predict(x), labels), rel=1e-6)


def test_weights_without_a_manifest_are_recognised(whole, tmp_path):
    for path in whole.glob("*.weights"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.warns(UserWarning) as caught:
        loaded = load_weights(NETWORK, tmp_path)
    # and not of running statistics: the network has none to lack
    assert [str(w.message).partition(": ")[2][:11] for w in caught] == ["no manifest"]
    assert loaded.config == CONFIG and loaded.has_statistics
    for name, param in load_weights(NETWORK, whole).params.items():
        assert np.array_equal(loaded.params[name], param)


def test_other_numbers_of_classes(places, tmp_path):
    more = ["--num-classes", 12, "--max-steps", 1, "--weights-dir", tmp_path]
    run(train.main, *places, *SMALL, *more)
    loaded = load_weights(NETWORK, tmp_path)
    assert loaded.config == LeNetConfig(12)
    assert loaded.params["fc3_weights"].shape == (12, 84)


def test_a_series_of_rows_that_are_handed_in(places, tmp_path):
    rows = {"base": Row({}, "the base"), "slow": Row({"lr": 0.001}, "a lower rate")}
    base = {"lr": 0.02, "batch_size": 50}
    program = series_program(EXAMPLE, Ablations(base, rows, {}, epochs=1))
    run(program, "--all", *places, "--threads", 1, "--results-dir", tmp_path)
    with (tmp_path / "results.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [row["row"] for row in found] == ["base", "slow"]
    for row in found:
        folder = tmp_path / f"{row['row']}-seed0"
        assert float(row["test_last_mean"]) == float(rows_of(folder)[-1][5])
    assert read_recipe(tmp_path / "slow-seed0" / "recipe.yml")["lr"] == 0.001


@pytest.mark.parametrize("name", ["lenet5_minutes", "lenet5_hour", "lenet5_baseline"])
def test_every_recipe_takes_a_step(name, places, tmp_path):
    configs = EXAMPLE.folder / "configs"
    wanted = ["lenet5_baseline", "lenet5_hour", "lenet5_minutes"]
    assert recipe_names(configs) == wanted
    shipped = read_recipe(configs / f"{name}.yml")
    options = ["--threads", 1, "--max-steps", 1, "--weights-dir", tmp_path]
    run(train.main, "--config", name, *places, *options)
    ran = read_recipe(tmp_path / "recipe.yml")
    same = shipped.keys() - {"description"}
    assert {key: ran[key] for key in same} == {key: shipped[key] for key in same}


RESULTS = EXAMPLE.folder / "results"


@pytest.mark.parametrize("run", ["lenet5_minutes", "lenet5_baseline_10epochs"])
def test_the_pages_say_what_a_run_measured(run):
    folder, name = RESULTS / run, run.removesuffix("_10epochs")
    rows, choices = metrics(folder), read_recipe(folder / "recipe.yml")
    assert (len(rows), choices["epochs"], choices["val_split"]) == (10, 10, 0)
    last = rows[-1]
    assert last["test_accuracy"] >= 0.65
    accuracy = f"{100 * last['test_accuracy']:.2f} %"
    assert accuracy.replace(" ", "") in (folder / "train.log").read_text()
    (line,) = (li for li in page(EXAMPLE.folder).splitlines() if f"| `{name}` |" in li)
    assert f"**{accuracy}" in line
    minutes = f"{sum(row['seconds'] for row in rows) / 60:.1f} min"
    (line,) = (li for li in page(RESULTS).splitlines() if f"| {run} |" in li)
    assert f"| **{accuracy}** |" in line
    assert f"| {last['train_loss']:.4f} | {minutes} |" in line
    recipe_file = EXAMPLE.folder / "configs" / f"{name}.yml"
    assert accuracy in recipe_file.read_text()
    shipped = read_recipe(recipe_file)
    same = shipped.keys() - {"description", "epochs"}
    assert {key: choices[key] for key in same} == {key: shipped[key] for key in same}


def test_the_page_says_what_the_search_measured():
    runs = sorted((RESULTS / "search_10epochs").iterdir())
    assert len(runs) >= 3
    for folder in runs:
        choices, last = read_recipe(folder / "recipe.yml"), metrics(folder)[-1]
        assert (last["epoch"], choices["val_split"]) == (10, 10_000)
        said = f"| {100 * last['val_accuracy']:.2f} % | {last['val_loss']:.4f} |"
        (line,) = (
            li for li in page(RESULTS).splitlines() if f"| {folder.name} |" in li
        )
        assert said in line


def page(folder):
    return (folder / "README.md").read_text("utf-8")
