"""Networks in bfloat16: dtypes, errors, threads, runs, inference."""

import json
import sys

import ml_dtypes
import numba
import numpy as np
import pytest
from alexnet_cifar10.model import NETWORK as ALEXNET
from family import KINDS
from lenet5_cifar10.model import EXAMPLE as LENET
from programs import assert_same_run, run_here
from resnet18_cifar10.example import NETWORK as RESNET
from vgg16_cifar10.model import NETWORK as VGG

from odyssey.bfloat16 import is_bfloat16
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.precision import in_precision
from odyssey.threads import available_cores
from odyssey.weights.checkpoint import load_newest_checkpoint
from odyssey.weights.model import load_weights

BF16 = np.dtype(ml_dtypes.bfloat16)
LABELS = np.array([0, 3, 1, 2, 2, 0])
#: Rounding to bfloat16 errs by at most this, relative to the number.
ROUNDING = 2.0**-8

NETWORKS = {name: (RESNET, config) for name, config in KINDS.items()}
NETWORKS |= {
    "drop path and dropout": (
        RESNET,
        KINDS["basic"]._replace(drop_path=0.4, dropout=0.3),
    ),
    "lenet5": (LENET.network, LENET.network.models["lenet5"]),
    "alexnet": (ALEXNET, ALEXNET.models["alexnet"]._replace(width=6)),
    "vgg16": (VGG, VGG.models["vgg16"]._replace(width=4)),
    "vgg16_bn": (VGG, VGG.models["vgg16_bn"]._replace(width=4)),
}
#: They have linear layers for images of 32x32 pixels, and some two masks of dropout.
WITHOUT_AVERAGE = ("lenet5", "alexnet", "vgg16", "vgg16_bn")
TWO_MASKS = ("alexnet", "vgg16", "vgg16_bn")
every_network = pytest.mark.parametrize("name", NETWORKS)


def images_for(name):
    side = 32 if name in WITHOUT_AVERAGE else 16
    rng = np.random.default_rng(2)
    x = rng.standard_normal((len(LABELS), side, side, 3)).astype("f4")
    return x.transpose(0, 3, 1, 2)


def in_dtype(tensors, dtype):
    return {name: tensor.astype(dtype) for name, tensor in tensors.items()}


def whole_gradient(network, config, params, state, x):
    """Return logits, new state, cache, loss and gradients of a training step."""
    rng = np.random.default_rng(8)
    logits, state, cache = network.forward(params, state, x, config, True, rng)
    loss = cross_entropy(logits, LABELS)
    grad_logits = cross_entropy_backward(1.0, logits, LABELS)
    grads = network.backward(grad_logits, cache, params, config)
    return logits, state, cache, loss, grads


def arrays_in(value):
    """Yield all arrays of a cache."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from arrays_in(part)


@every_network
def test_activations_are_bfloat16_and_all_that_is_learnt_is_float32(name, one_thread):
    network, config = NETWORKS[name]
    params, state = network.initialize(config, 0)
    half = in_precision(network, "bf16")
    x = images_for(name)
    logits, new, cache, _, grads = whole_gradient(half, config, params, state, x)
    assert logits.dtype == np.float32
    kept = [a for a in arrays_in(cache) if a.size > len(a) and a.ndim in (2, 4)]
    masks = [a for a in kept if not is_bfloat16(a.dtype)]
    dropped = bool(getattr(config, "dropout", 0))
    assert len(masks) == (2 * dropped if name in TWO_MASKS else dropped)
    assert len(kept) > len(masks)
    assert {grad.dtype for grad in grads.values()} == {np.dtype(np.float32)}
    assert list(grads) == list(params)
    assert {tensor.dtype for tensor in new.values()} <= {np.dtype(np.float32)}


@every_network
def test_errors_are_those_of_rounding(name, one_thread):
    """Against float64, the loss is off by roundings, of float32 by far less."""
    network, config = NETWORKS[name]
    params, state = network.initialize(config, 0)
    x = images_for(name)
    exact = whole_gradient(
        network,
        config,
        in_dtype(params, "f8"),
        in_dtype(state, "f8"),
        x.astype("f8"),
    )
    errors = {}
    for precision in ("float32", "bf16"):
        run = in_precision(network, precision)
        found = whole_gradient(run, config, params, state, x)
        errors[precision] = abs(found[3] - exact[3]) / exact[3]
        if precision == "bf16":
            steps = [np.vdot(found[4][n].astype("f8"), exact[4][n]) for n in exact[4]]
            squares = [np.vdot(g, g) for g in exact[4].values()]
            # the gradient leads down by nearly as much
            assert sum(steps) / sum(squares) == pytest.approx(1, abs=0.25)
            layers = len(exact[4])
            assert errors[precision] < layers * ROUNDING
    assert errors["float32"] < errors["bf16"]


@every_network
def test_threads_do_not_change_a_bit(name):
    network, config = NETWORKS[name]
    params, state = network.initialize(config, 0)
    x = images_for(name)
    half = in_precision(network, "bf16")
    runs = []
    before = numba.get_num_threads()
    try:
        for threads in (1, available_cores()):
            numba.set_num_threads(threads)
            logits, new, _, loss, grads = whole_gradient(half, config, params, state, x)
            folded = network.fold(params, new, config)
            inferred = half.forward(folded, {}, x, config, False, folded=True)[0]
            runs.append((loss, [logits, inferred, *new.values(), *grads.values()]))
    finally:
        numba.set_num_threads(before)
    (loss, arrays), (other, others) = runs
    assert loss == other
    for array, same in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(array, same)


@pytest.mark.parametrize("name", ["basic", "bottleneck v2", "drop path and dropout"])
def test_blocks_computed_again_give_the_same_bits(name, one_thread):
    _, config = NETWORKS[name]
    half = in_precision(RESNET, "bf16")
    params, state = half.initialize(config, 0)
    _, _, _, _, grads = whole_gradient(half, config, params, state, images_for(name))
    logits, _, cache = half.run_training(
        params,
        state,
        images_for(name),
        config,
        np.random.default_rng(8),
        recompute=True,
    )
    grad_logits = cross_entropy_backward(1.0, logits, LABELS)
    again = half.run_backward(grad_logits, cache, params, config)
    for gradient, same in zip(grads.values(), again.values(), strict=True):
        np.testing.assert_array_equal(gradient, same)


@every_network
def test_inference_rounds_and_folds_in_float32(name, one_thread):
    network, config = NETWORKS[name]
    config = network.without_noise(config)
    params, state = network.initialize(config, 0)
    folded = network.fold(params, state, config)
    assert {tensor.dtype for tensor in folded.values()} == {np.dtype(np.float32)}
    x = images_for(name)
    half = in_precision(network, "bf16")
    logits, _, cache = half.forward(folded, {}, x, config, False, folded=True)
    assert logits.dtype == np.float32 and (cache is None or name == "lenet5")
    np.testing.assert_array_equal(logits, logits.astype(BF16).astype("f4"))
    exact = network.forward(folded, {}, x, config, False, folded=True)[0]
    rounded_layers = len([n for n in folded if n.endswith(("kernel", "weights"))]) + 1
    error = np.linalg.norm(logits - exact) / np.linalg.norm(exact)
    assert 0 < error < rounded_layers * ROUNDING


OPTIONS = ["--precision", "bf16", "--drop-path", 0.2, "--dropout", 0.1]


def test_a_run_resumes_to_the_same_bits_and_in_its_precision_only(
    train, data, tmp_path
):
    run, whole = tmp_path / "run", tmp_path / "whole"
    more = [*OPTIONS, "--ema-decay", 0.9, "--mixup-alpha", 0.3]
    first = train(*more, "--max-steps", 10)
    assert "parameters, activations in bf16; " in first
    saved = load_newest_checkpoint(run)
    assert saved.metadata["recipe"]["precision"] == "bf16"
    assert {t.dtype for t in saved.tensors.values()} == {np.dtype(np.float32)}
    refusal = train(*more[2:], "--resume", status=2)
    assert "--precision was bf16, is float32" in refusal
    assert 'precision: "bf16"' in (run / "recipe.yml").read_text()
    train(*more, "--resume", "--threads", available_cores())
    train("--config", run / "recipe.yml", weights_dir=whole)
    assert_same_run(run, whole)
    float32 = tmp_path / "float32"
    output = train(*more[2:], weights_dir=float32)
    assert "activations in" not in output
    other = load_weights(RESNET, float32).params["conv1_kernel"]
    assert (other != load_weights(RESNET, run).params["conv1_kernel"]).any()


def test_inference_in_bfloat16_is_that_of_training(train, data, tmp_path):
    run = tmp_path / "run"
    train("--precision", "bf16")
    places = ["--data-dir", data, "--weights-dir", run, "--json", "--threads", 1]
    found = {}
    for precision in ("float32", "bf16"):
        options = [*places, "--precision", precision]
        result = run_here("inference", *options)
        assert result.exit_code == 0, result.output
        found[precision] = json.loads(result.output)["loss"]
    row = (run / "metrics.csv").read_text().splitlines()[-1].split(",")
    assert repr(found["bf16"]) == row[4]
    assert found["float32"] != found["bf16"]
    assert found["float32"] == pytest.approx(found["bf16"], rel=0.05)
    recalibrated = run_here("inference", *options, "--recalibrate")
    assert recalibrated.exit_code == 0, recalibrated.output


def test_it_learns_as_float32_does(train, tmp_path):
    rows = {}
    for precision in ("float32", "bf16"):
        train("--precision", precision, weights_dir=tmp_path / precision)
        last = (tmp_path / precision / "metrics.csv").read_text().splitlines()[-1]
        rows[precision] = float(last.split(",")[2])  # the loss of training
    assert rows["bf16"] == pytest.approx(rows["float32"], rel=0.05)


@pytest.mark.parametrize("program", ["train", "inference"])
def test_without_ml_dtypes_the_option_says_what_to_install(
    program, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # importing it fails
    options = ["--weights-dir", tmp_path / "run", "--precision", "bf16"]
    result = run_here(program, *options)
    assert result.exit_code == 2
    assert "Invalid value for '--precision': bfloat16 needs ml_dtypes" in result.output
    assert "odyssey-by-hand[bf16]" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "value, answer",
    [
        ("bfloat16", "did you mean bf16?"),
        ("fp32", "did you mean float32?"),
        ("float16", "is not one of 'float32', 'bf16'"),
    ],
)
def test_another_precision_is_refused(value, answer):
    result = run_here("train", "--precision", value)
    assert result.exit_code == 2
    assert f"Invalid value for '--precision': '{value}' is not one of" in result.output
    assert answer in result.output
