"""AlexNet and VGG-16: what their folders get from the library, and what is theirs."""

import json
from collections import defaultdict

import numpy as np
import pytest
from alexnet_cifar10 import inference as alexnet_inference
from alexnet_cifar10 import train as alexnet_train
from alexnet_cifar10.model import EXAMPLE as ALEXNET
from click.testing import CliRunner
from lenet5_cifar10.model import EXAMPLE as LENET
from programs import assert_same_run, losses_of, rows_of
from vgg16_cifar10 import inference as vgg_inference
from vgg16_cifar10 import train as vgg_train
from vgg16_cifar10.model import EXAMPLE as VGG

from odyssey.cli.main import main as odyssey_program
from odyssey.gradcheck import gradcheck
from odyssey.ops.dropout import dropout
from odyssey.report.page import build_page
from odyssey.training.recipe_file import read_recipe, recipe_names
from odyssey.weights.model import load_weights

#: By model: its example, and its programs.
MODELS = {
    "alexnet": (ALEXNET, alexnet_train, alexnet_inference),
    "vgg16": (VGG, vgg_train, vgg_inference),
    "vgg16_bn": (VGG, vgg_train, vgg_inference),
}
models = pytest.mark.parametrize("model", MODELS)
RECIPES = [
    (name, example)
    for example in (ALEXNET, VGG)
    for name in recipe_names(example.recipes)
]
SMALL = ["--width", 3, "--batch-size", 16, "--epochs", 2, "--lr", 0.02, "--threads", 1]


def run(program, *arguments, status=0):
    """Run a program in this process; return what it printed."""
    result = CliRunner().invoke(program.main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """The folder of a run that nothing stopped, by model."""
    folders = {}
    for model, (_, train, _) in MODELS.items():
        folders[model] = tmp_path_factory.mktemp(model)
        options = ["--model", model, "--weights-dir", folders[model]]
        run(train, "--data-dir", data, *SMALL, *options)
    return folders


def small(model, width=4):
    example = MODELS[model][0]
    return example.network, example.network.models[model]._replace(width=width)


def layers_of(model):
    """Numbers in each layer's tensors: conv1, s1_conv1, s1_bn1 ..."""
    network = MODELS[model][0].network
    sizes = defaultdict(int)
    for name, shape in network.parameter_shapes(network.models[model]).items():
        sizes[name.rpartition("_")[0]] += int(np.prod(shape))
    return dict(sizes)


def test_the_parameters_of_alexnet():
    assert layers_of("alexnet") == {
        "conv1": 48 * (3 * 7 * 7 + 1),
        "conv2": 128 * (48 * 5 * 5 + 1),
        "conv3": 192 * (128 * 3 * 3 + 1),
        "conv4": 192 * (192 * 3 * 3 + 1),
        "conv5": 128 * (192 * 3 * 3 + 1),
        "fc1": 512 * (128 * 4 * 4 + 1),
        "fc2": 512 * (512 + 1),
        "fc3": 10 * (512 + 1),
    }
    assert sum(layers_of("alexnet").values()) == 2_252_362
    assert "2,252,362" in (ALEXNET.folder / "model.py").read_text()


@pytest.mark.parametrize(
    "model, total", [("vgg16", 15_245_130), ("vgg16_bn", 15_249_354)]
)
def test_the_parameters_of_vgg16(model, total):
    layers = layers_of(model)
    blocks = [0] * 5
    for name, size in layers.items():
        if name.startswith("s"):
            blocks[int(name[1]) - 1] += size
    biases = [128, 256, 768, 1536, 1536]
    # the convolutions of configuration D, with their biases
    plain = [38_720, 221_440, 1_475_328, 5_899_776, 7_079_424]
    extra = biases if model == "vgg16_bn" else [0] * 5  # gamma and beta, but no bias
    assert blocks == [p + e for p, e in zip(plain, extra, strict=True)]
    assert (layers["fc1"], layers["fc2"], layers["fc3"]) == (262_656, 262_656, 5_130)
    assert sum("conv" in name or "fc" in name for name in layers) == 16
    assert sum(layers.values()) == total
    assert f"{total:,}" in (VGG.folder / "model.py").read_text()


@models
def test_the_statistics_are_those_of_the_batch_norms(model):
    network, config = small(model)
    params, state = network.initialize(config, 0)
    norms = [n.removesuffix("_gamma") for n in params if n.endswith("_gamma")]
    assert len(norms) == (13 if model == "vgg16_bn" else 0)
    wanted = [f"{n}_running_{kind}" for n in norms for kind in ("mean", "var")]
    assert list(state) == wanted
    for name, statistic in state.items():
        assert (statistic == name.endswith("_var")).all()
    for norm in norms:
        assert (params[f"{norm}_gamma"] == 1).all()
        assert not params[f"{norm}_beta"].any()


@models
def test_gradients_of_the_whole_network(model, one_thread):
    """With dropout: every forward draws the same masks."""
    network, config = small(model)
    params, state = network.initialize(config, 1)
    rng = np.random.default_rng(2)
    names = list(params)
    values = [
        param + 0.1 * rng.standard_normal(param.shape) * (param.ndim == 1)
        for param in params.values()  # biases begin as zero, and gammas as one
    ]
    state = {name: array.astype(np.float64) for name, array in state.items()}
    x = rng.standard_normal((2, 3, 32, 32))

    def forwarded(*values):
        named = dict(zip(names, values, strict=True))
        masks = np.random.default_rng(3)
        return named, network.forward(named, state, x, config, True, masks)

    def grads_of(grad_logits, *values):
        named, (_, _, cache) = forwarded(*values)
        grads = network.backward(grad_logits, cache, named, config)
        assert list(grads) == names
        return list(grads.values())

    # a small step: relu and pooling have corners, and there are thousands of them
    worst = gradcheck(
        lambda *values: forwarded(*values)[1][0], grads_of, values, samples=4, eps=1e-6
    )
    assert worst < 1e-6


@models
def test_dropout_is_of_both_hidden_layers_and_of_training_alone(model, one_thread):
    network, config = small(model)
    params, state = network.initialize(config, 0)
    x = np.random.default_rng(1).standard_normal((6, 3, 32, 32)).astype(np.float32)

    def logits(training, seed=None, dropout=config.dropout):
        rng = None if seed is None else np.random.default_rng(seed)
        options = config._replace(dropout=dropout)
        return network.forward(params, state, x, options, training, rng)[0]

    assert (logits(True, 1) != logits(True, 2)).any()
    np.testing.assert_array_equal(logits(True, 1), logits(True, 1))
    np.testing.assert_array_equal(logits(False), logits(False, dropout=0.0))
    if model != "vgg16_bn":  # whose batch norms differ in training
        np.testing.assert_allclose(
            logits(True, dropout=0.0), logits(False), rtol=0, atol=1e-5
        )
    # the masks are drawn for fc1, then for fc2
    rng = np.random.default_rng(4)
    cache = network.forward(params, state, x, config, True, np.random.default_rng(4))[2]
    for layer in (cache.fc1, cache.fc2):
        want = dropout(layer.h, config.dropout, rng)[1]
        np.testing.assert_array_equal(layer.mask, want)
        assert set(np.unique(layer.mask)) == {0.0, 2.0}
    with pytest.raises(TypeError, match="rng"):
        logits(True)


@models
def test_a_resumed_run_is_the_whole_one(model, whole, data, tmp_path):
    train = MODELS[model][1]
    options = [*SMALL, "--model", model, "--weights-dir", tmp_path, "--data-dir", data]
    run(train, *options, "--max-steps", 3)
    assert "3 steps done" in run(train, *options, "--resume")
    assert_same_run(tmp_path, whole[model])


def test_recomputing_the_blocks_of_vgg_changes_no_bit(whole, data, tmp_path):
    options = ["--data-dir", data, *SMALL, "--model", "vgg16_bn", "--recompute"]
    run(vgg_train, *options, "--weights-dir", tmp_path)
    assert_same_run(tmp_path, whole["vgg16_bn"])
    message = run(alexnet_train, "--recompute", "--data-dir", data, status=2)
    assert "alexnet has no blocks that could be run again" in message


@models
def test_bfloat16_learns_alike(model, whole, data, tmp_path):
    train = MODELS[model][1]
    options = [*SMALL, "--model", model, "--precision", "bf16", "--max-steps", 2]
    run(train, "--data-dir", data, *options, "--weights-dir", tmp_path)
    got, want = (
        [json.loads(line)["loss"] for line in losses_of(folder)[:2]]
        for folder in (tmp_path, whole[model])
    )
    assert got == pytest.approx(want, rel=0.02) and got != want


@models
def test_inference_gives_the_accuracy_of_training(model, whole, data):
    options = ["--data-dir", data, "--weights-dir", whole[model], "--json"]
    found = json.loads(run(MODELS[model][2], *options))
    assert repr(found["accuracy"]) == rows_of(whole[model])[-1][5]
    assert found["total"] == 20


@models
def test_the_report_names_the_layers(model, whole):
    page = build_page(whole[model], MODELS[model][0].title)
    assert "Left out" not in page and page.count("<img") > 5
    profile = json.loads((whole[model] / "profile.json").read_text())
    rows = {row["name"]: row for row in profile["rows"]}
    for name in (
        "fc1",
        "fc2",
        "maxpool2d",
        "conv2d" if model == "alexnet" else "s1_conv1",
    ):
        assert rows[name]["forward"] > 0 and rows[name]["backward"] > 0


@models
def test_weights_are_verified_and_recognised(model, whole, tmp_path):
    network, config = small(model, width=3)
    assert (
        "checkpoint"
        in CliRunner().invoke(odyssey_program, ["verify", str(whole[model])]).output
    )
    loaded = load_weights(network, whole[model])
    assert (loaded.config, loaded.model) == (config, f"{model} of width 3")
    for path in whole[model].glob("*.weights"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.warns(UserWarning, match="no manifest"):
        bare = load_weights(network, tmp_path)
    assert bare.config == config and bare.has_statistics
    for name, param in loaded.params.items():
        np.testing.assert_array_equal(bare.params[name], param)


def test_batch_norm_is_folded_for_inference(whole):
    loaded = load_weights(VGG.network, whole["vgg16_bn"])
    network, config = VGG.network, loaded.config
    folded = network.fold(loaded.params, loaded.state, config)
    without = network.parameter_shapes(config._replace(normalize=False))
    assert {n: a.shape for n, a in folded.items()} == without
    x = np.random.default_rng(1).standard_normal((3, 3, 32, 32)).astype(np.float32)
    logits = network.forward(loaded.params, loaded.state, x, config, False)[0]
    np.testing.assert_array_equal(
        network.forward(folded, {}, x, config, False, folded=True)[0], logits
    )
    # folded, the network is one without batch norm
    options = config._replace(normalize=False)
    plain = network.forward(folded, {}, x, options, False, folded=True)[0]
    np.testing.assert_array_equal(plain, logits)
    exact = network.forward(
        {n: a.astype("f8") for n, a in loaded.params.items()},
        {n: a.astype("f8") for n, a in loaded.state.items()},
        x.astype("f8"),
        config,
        False,
    )[0]
    np.testing.assert_allclose(logits, exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("example", [LENET, ALEXNET, VGG], ids=lambda e: e.title)
def test_options_that_no_network_has(example):
    network = example.network
    config = network.models[network.usual]
    network.check(config)
    wrong = {"num_classes": 0, "width": -1, "dropout": 1.0}
    wrong = {name: value for name, value in wrong.items() if name in config._fields}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"^{name} must be "):
            network.check(config._replace(**{name: value}))


def test_options_of_the_command_line_choose_the_network(data, tmp_path):
    options = [*SMALL, "--model", "vgg16_bn", "--dropout", 0.25, "--num-classes", 12]
    run(
        vgg_train,
        "--data-dir",
        data,
        *options,
        "--max-steps",
        1,
        "--weights-dir",
        tmp_path,
    )
    config = load_weights(VGG.network, tmp_path).config
    assert config._asdict() == {
        "width": 3,
        "num_classes": 12,
        "normalize": True,
        "dropout": 0.25,
    }
    recipe = read_recipe(tmp_path / "recipe.yml")
    assert (recipe["model"], recipe["width"], recipe["dropout"]) == (
        "vgg16_bn",
        3,
        0.25,
    )


@pytest.mark.parametrize("name, example", RECIPES, ids=[name for name, _ in RECIPES])
def test_every_recipe_takes_a_step(name, example, data, tmp_path):
    train = {ALEXNET.title: alexnet_train, VGG.title: vgg_train}[example.title]
    shipped = read_recipe(example.recipes / f"{name}.yml")
    options = [
        "--threads",
        1,
        "--max-steps",
        1,
        "--width",
        4,
        "--weights-dir",
        tmp_path,
    ]
    run(train, "--config", name, "--data-dir", data, *options)
    ran = read_recipe(tmp_path / "recipe.yml")
    same = shipped.keys() - {"description"}
    assert {key: ran[key] for key in same} == {key: shipped[key] for key in same}


@pytest.mark.parametrize("example", [ALEXNET, VGG], ids=lambda e: e.title)
def test_the_files_are_short(example):
    def lines(name):
        return len((example.folder / name).read_text().splitlines())

    assert lines("model.py") <= 300
    assert lines("train.py") <= 40 and lines("inference.py") <= 40


@pytest.mark.parametrize("example", [LENET, ALEXNET, VGG], ids=lambda e: e.title)
def test_the_page_lists_the_recipes(example):
    text = (example.folder / "README.md").read_text("utf-8")
    for name in recipe_names(example.recipes):
        assert f"| `{name}` |" in text, name
