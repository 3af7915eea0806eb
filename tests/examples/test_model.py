"""The example's ResNet-18: shapes, the whole gradient, and unchanged arguments."""

import numba
import numpy as np
import pytest
from resnet18_cifar10.architecture import (
    ResNetConfig,
    fold,
    initialize,
    parameter_shapes,
    state_shapes,
)
from resnet18_cifar10.model import backward, forward

from odyssey.ops.loss import cross_entropy, cross_entropy_backward

FULL = ResNetConfig()
# stages 2 to 4 have a block with a projection and one without
SMALL = ResNetConfig(width=3, num_classes=4)
PLAIN = ResNetConfig(width=2, blocks=(1, 1), num_classes=3, conv_bias=True)


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def start(config, dtype=np.float64, seed=0, size=8):
    """Weights and statistics that are not those of a fresh model, and a batch."""
    params, state = initialize(config, seed, dtype)
    rng = np.random.default_rng(seed + 1)
    for name, array in (*params.items(), *state.items()):
        if not name.endswith(("_kernel", "fc_weights")):
            array += (0.2 * rng.uniform(-1, 1, array.shape)).astype(dtype)
    x = channels_last(rng.standard_normal((5, 3, size, size)).astype(dtype))
    return params, state, x


def copy(tensors):
    return {name: array.copy() for name, array in tensors.items()}


def bits(tensors):
    return {name: array.tobytes() for name, array in tensors.items()}


def test_full_model_has_62_tensors_and_11173962_numbers():
    shapes = parameter_shapes(FULL)
    assert len(shapes) == 62
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 11_173_962
    assert len(state_shapes(FULL)) == 40
    with_bias = parameter_shapes(FULL._replace(conv_bias=True))
    assert len(with_bias) == 82
    extra = set(with_bias) - set(shapes)
    assert len(extra) == 20
    assert all(
        name.endswith(("conv1_bias", "conv2_bias", "proj_bias")) for name in extra
    )


def test_names_are_those_of_the_weight_files():
    convs = {"conv1": "bn1"}
    for stage in (1, 2, 3, 4):
        for block in (1, 2):
            name = f"s{stage}b{block}"
            convs[f"{name}_conv1"] = f"{name}_bn1"
            convs[f"{name}_conv2"] = f"{name}_bn2"
        if stage > 1:
            convs[f"s{stage}b1_proj"] = f"s{stage}b1_proj_bn"
    want = {f"{conv}_kernel" for conv in convs} | {"fc_weights", "fc_bias"}
    want |= {f"{norm}_{end}" for norm in convs.values() for end in ("gamma", "beta")}
    assert set(parameter_shapes(FULL)) == want
    statistics = ("running_mean", "running_var")
    want = {f"{norm}_{end}" for norm in convs.values() for end in statistics}
    assert set(state_shapes(FULL)) == want


def test_some_shapes_of_the_full_model():
    shapes = parameter_shapes(FULL)
    assert shapes["conv1_kernel"] == (64, 3, 3, 3)
    assert shapes["s1b1_conv1_kernel"] == (64, 64, 3, 3)
    assert shapes["s3b1_conv1_kernel"] == (256, 128, 3, 3)
    assert shapes["s3b1_proj_kernel"] == (256, 128, 1, 1)
    assert shapes["s4b2_bn2_gamma"] == (512,)
    assert shapes["fc_weights"] == (10, 512)


@pytest.mark.parametrize("config", [SMALL, PLAIN, FULL], ids=str)
def test_initialize_draws_what_it_says(config):
    params, state = initialize(config, seed=3)
    assert {name: a.shape for name, a in params.items()} == parameter_shapes(config)
    assert {name: a.shape for name, a in state.items()} == state_shapes(config)
    assert list(params) == list(parameter_shapes(config))
    assert bits(params) == bits(initialize(config, seed=3)[0])
    assert bits(params) != bits(initialize(config, seed=4)[0])
    for name, array in (*params.items(), *state.items()):
        assert array.dtype == np.float32
        if name.endswith(("_gamma", "_running_var")):
            assert (array == 1).all()
        elif not name.endswith("_kernel") and not name.startswith("fc_"):
            assert not array.any()
        elif name.endswith("_kernel") and array.size > 10_000:
            want = np.sqrt(2 / np.prod(array.shape[1:]))
            # the spread of n numbers is known to 1/sqrt(2n); five times that
            assert array.std() == pytest.approx(want, rel=5 / np.sqrt(2 * array.size))


@pytest.mark.parametrize("config", [SMALL, PLAIN], ids=["width 3", "conv_bias"])
def test_whole_gradient_against_central_differences(config):
    """Some elements of every tensor, under a random upstream, in float64.

    A step of 1e-6 moves an activation by a few 1e-6, and one in 10^5 or so lies that
    near the kink of its relu: the differences of the elements whose step crosses one
    are no derivative.  A step whose left and right halves disagree shows this, and
    another element is taken; the derivative being continuous, no error of the
    backward can cause it.
    """
    params, state, x = start(config)
    rng = np.random.default_rng(5)
    logits, _, cache = forward(params, state, x, config)
    upstream = rng.standard_normal(logits.shape)
    grads = backward(upstream, cache, params, config)
    assert list(grads) == list(params)
    eps = 1e-6

    def at(array, place, value):
        array[place] = value
        return np.vdot(forward(params, state, x, config)[0], upstream)

    middle, skipped = np.vdot(logits, upstream), 0
    for name, array in params.items():
        typical = np.sqrt(np.mean(grads[name] ** 2))
        if config.conv_bias and name != "fc_bias" and name.endswith("_bias"):
            # batch norm subtracts the mean, and with it whatever a bias adds
            assert np.abs(grads[name]).max() <= 1e-13
        left_to_check = 3
        for flat in rng.permutation(array.size)[:8]:
            place = np.unravel_index(flat, array.shape)
            kept = array[place]
            right, left = at(array, place, kept + eps), at(array, place, kept - eps)
            array[place] = kept
            halves, numeric = (right - middle, middle - left), (right - left) / 2 / eps
            if abs(halves[0] - halves[1]) > eps * (1e-3 * typical + 1e-8):
                skipped += 1
                continue
            # the result's own rounding, 1e-15 of it, is divided by eps
            assert abs(grads[name][place] - numeric) <= 1e-6 * typical + 1e-8, name
            left_to_check -= 1
            if not left_to_check:
                break
        assert left_to_check < 3, f"every step in {name} crossed a kink"
    assert skipped <= len(params) // 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_moves_every_statistic_and_mutates_nothing(dtype):
    params, state, x = start(SMALL, dtype)
    before = bits(params), bits(state), x.tobytes()
    logits, new_state, cache = forward(params, state, x, SMALL)
    grads = backward(np.ones_like(logits), cache, params, SMALL)
    assert (bits(params), bits(state), x.tobytes()) == before
    assert list(new_state) == list(state)
    for name, array in new_state.items():
        assert array.dtype == dtype
        assert (array != state[name]).all(), name
    for name, grad in grads.items():
        assert grad.dtype == dtype
        assert grad.shape == params[name].shape
    # the cache is only read: a second backward gives the same
    assert bits(backward(np.ones_like(logits), cache, params, SMALL)) == bits(grads)


def test_inference_returns_the_state_as_it_was():
    params, state, x = start(SMALL)
    before = bits(state)
    logits, new_state, cache = forward(params, state, x, SMALL, training=False)
    assert bits(new_state) == bits(state) == before
    assert cache is None
    # one image's logits do not depend on those beside it
    alone = forward(params, state, x[2:3], SMALL, training=False)[0]
    np.testing.assert_allclose(alone, logits[2:3], rtol=1e-12)
    folded = fold(params, state, SMALL)
    assert not [name for name in folded if "bn" in name]
    again = forward(folded, {}, x, SMALL, training=False, folded=True)[0]
    np.testing.assert_array_equal(again, logits)
    trained = forward(params, state, x, SMALL)[0]
    assert np.abs(trained - logits).max() > 1e-3


def results(config, params, state, x):
    logits, new_state, cache = forward(params, state, x, config)
    labels = np.arange(len(x)) % config.num_classes
    grad_logits = cross_entropy_backward(1.0, logits, labels)
    grads = backward(grad_logits, cache, params, config)
    assert np.isfinite(cross_entropy(logits, labels))
    return bits({"logits": logits, **new_state, **grads})


@pytest.mark.parametrize("width", [3, 16])
def test_bits_do_not_depend_on_the_number_of_threads(width):
    config = SMALL._replace(width=width)
    given = start(config, np.float32, size=32)
    before, found = numba.get_num_threads(), []
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        found.append(results(config, *given))
    numba.set_num_threads(before)
    assert found[0] == found[1]


def test_any_memory_layout_gives_the_same_bits():
    params, state, x = start(SMALL, np.float32)
    want = results(SMALL, params, state, x)
    assert results(SMALL, params, state, np.ascontiguousarray(x)) == want
    frozen = copy(params)
    for array in frozen.values():
        array.flags.writeable = False
    assert results(SMALL, frozen, state, x[::-1][::-1]) == want


def test_a_bias_of_the_convolutions_changes_statistics_alone():
    params, state, x = start(PLAIN)
    logits, new_state, _ = forward(params, state, x, PLAIN)
    without = {
        name: array
        for name, array in params.items()
        if name == "fc_bias" or not name.endswith("_bias")
    }
    config = PLAIN._replace(conv_bias=False)
    assert list(without) == list(parameter_shapes(config))
    plain_logits, plain_state, _ = forward(without, state, x, config)
    np.testing.assert_allclose(logits, plain_logits, rtol=1e-10, atol=1e-12)
    for name, array in new_state.items():
        moved = 0.0
        if name == "bn1_running_mean":
            moved = 0.1 * params["conv1_bias"]
        if name.startswith("bn1"):
            np.testing.assert_allclose(array - plain_state[name], moved, atol=1e-12)
