"""All networks of the family: sizes, gradients, and that they learn."""

import numpy as np
import pytest
from family import KINDS, drawn
from resnet18_cifar10.architecture import (
    MODELS,
    ResNetConfig,
    initialize,
    network_blocks,
    parameter_shapes,
    state_shapes,
)
from resnet18_cifar10.model import backward, forward

from odyssey.gradcheck import gradcheck
from odyssey.layers.context import Context
from odyssey.layers.shortcut import subsample, subsample_backward
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import sgd_momentum_update_inplace

# The first four are the sum of kernels, biases and norms as in torchvision, with 3x3
# stem and ten classes; pre-activation has another place for the norms, and fewer.
COUNTS = {
    "resnet18": 11_173_962,
    "resnet34": 21_282_122,
    "resnet50": 23_520_842,
    "resnet101": 42_512_970,
    "resnet20": 269_722,  # 0.27 M, 0.46 M, 0.66 M, 0.85 M, 1.7 M: table 6 of the paper
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
}


def numbers(config):
    return sum(int(np.prod(shape)) for shape in parameter_shapes(config).values())


@pytest.mark.parametrize("name", MODELS)
def test_trainable_numbers(name):
    config = MODELS[name]
    assert numbers(config) == COUNTS[name]
    assert numbers(config._replace(num_classes=12)) == COUNTS[name] + 2 * (
        parameter_shapes(config)["fc_weights"][1] + 1
    )
    if config.shortcut == "A":
        # B has kernels 16 to 32 and 32 to 64, and their norms
        more = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
        assert numbers(config._replace(shortcut="B")) == COUNTS[name] + more
    biases = config._replace(normalize=False)
    norms = sum(int(np.prod(shape)) for shape in state_shapes(config).values())
    assert numbers(biases) == COUNTS[name] - norms + norms // 2
    assert state_shapes(biases) == {}


def test_pre_activation_has_other_norms():
    # 128 + 256 of block 1.1's bn1 and so on, and no norms of projections; the total
    # is that of kuangliu's PreActResNet18 and a final norm of 512 channels
    config = MODELS["resnet18"]._replace(pre_activation=True)
    shapes = parameter_shapes(config)
    assert numbers(config) == 11_171_146 + 2 * 512
    assert "s1b1_bn1_gamma" not in shapes and "s2b1_proj_bn_gamma" not in shapes
    assert shapes["s2b1_bn1_gamma"] == (64,)
    assert shapes["final_bn_gamma"] == (512,)


def test_names_and_shapes_of_bottlenecks():
    shapes = parameter_shapes(MODELS["resnet101"])
    assert shapes["s3b23_conv1_kernel"] == (256, 1024, 1, 1)
    assert shapes["s3b23_conv2_kernel"] == (256, 256, 3, 3)
    assert shapes["s3b23_conv3_kernel"] == (1024, 256, 1, 1)
    assert shapes["s3b23_bn3_gamma"] == (1024,)
    assert shapes["s1b1_proj_kernel"] == (256, 64, 1, 1)
    assert "s1b2_proj_kernel" not in shapes
    assert shapes["fc_weights"] == (10, 2048)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_gradient_along_random_directions(kind):
    """``<v, vjp(u)> = <u, jvp(v)>`` for each tensor apart, in float64.

    Where a step crosses the kink of a relu its halves disagree, and a shorter one is
    taken; see `test_model`.
    """
    config = KINDS[kind]._replace(dropout=0.3)
    params, state, x, _, _ = drawn(kind)

    def logits_of(params):
        rng = np.random.default_rng(6)  # the same images dropped each time
        return forward(params, state, x, config, rng=rng)

    rng = np.random.default_rng(5)
    logits, _, cache = logits_of(params)
    upstream = rng.standard_normal(logits.shape)
    grads = backward(upstream, cache, params, config)
    assert list(grads) == list(params)
    middle = np.vdot(logits, upstream)
    for name, array in params.items():
        v = rng.standard_normal(array.shape)
        analytic = np.vdot(grads[name], v)
        scale = np.linalg.norm(grads[name]) + 1e-3
        for eps in (1e-6, 1e-7, 1e-8):
            right, left = (
                np.vdot(logits_of({**params, name: array + e * v})[0], upstream)
                for e in (eps, -eps)
            )
            # the rounding of the result is divided by eps
            bar = 1e-6 * scale + 1e-14 * (abs(middle) + 1) / eps
            if abs(right + left - 2 * middle) <= eps * max(1e-4 * scale, bar):
                break
        else:
            pytest.fail(f"every step along {name} crossed a kink")
        assert abs(analytic - (right - left) / (2 * eps)) <= bar, name


def test_subsampling():
    x = np.arange(2.0 * 3 * 5 * 4).reshape(2, 3, 5, 4)
    out = subsample(x, 7, 2)
    assert out.shape == (2, 7, 3, 2)
    np.testing.assert_array_equal(out[:, :3], x[:, :, [0, 2, 4]][..., [0, 2]])
    assert not out[:, 3:].any()
    worst = gradcheck(
        lambda x: subsample(x, 7, 2), lambda g, x: (subsample_backward(g, x, 2),), (x,)
    )
    assert worst < 1e-6


def test_drop_path_grows_with_depth_and_keeps_the_mean():
    config = ResNetConfig(blocks=(2, 2), drop_path=0.4)
    blocks = network_blocks(config)
    np.testing.assert_allclose([b.drop_path for b in blocks], [0.1, 0.2, 0.3, 0.4])
    images, drop_path = np.empty((4000, 1, 1, 1), np.float32), blocks[-1].drop_path
    training = Context({}, {}, True, rng=np.random.default_rng(0))
    keep = training.branch_scale(images, drop_path)
    assert keep.dtype == np.float32
    assert set(np.unique(keep)) == {0, np.float32(1 / 0.6)}
    # the mean of 4000 draws of deviation sqrt(0.4/0.6) is known to 0.013
    assert keep.mean() == pytest.approx(1, abs=0.05)
    assert Context({}, {}, False).branch_scale(images, drop_path) is None


@pytest.mark.parametrize("option", ["drop_path", "dropout"])
def test_what_is_random_needs_a_generator_and_only_in_training(option):
    config = KINDS["basic"]._replace(**{option: 0.5})
    params, state, x, _, _ = drawn("basic")
    with pytest.raises(ValueError, match="rng"):
        forward(params, state, x, config)
    logits = [
        forward(params, state, x, config, rng=np.random.default_rng(seed))[0]
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert np.abs(logits[0] - logits[2]).max() > 1e-3
    plain = forward(params, state, x, KINDS["basic"], training=False)[0]
    again = forward(params, state, x, config, training=False)[0]
    np.testing.assert_array_equal(again, plain)


@pytest.mark.parametrize("kind", ["basic", "bottleneck v2", "no norm", "option A"])
def test_zero_gamma_starts_with_shortcuts_alone_and_learns(kind):
    config = KINDS[kind]._replace(zero_gamma=True)
    params, state = initialize(config, 0, np.float64)
    ends = [name for name, p in params.items() if not p.any()]
    end = {
        "basic": "bn2_gamma",
        "option A": "bn2_gamma",
        "bottleneck v2": "conv3_kernel",
    }
    end = end.get(kind, "conv2_kernel")
    assert [n for n in ends if n.endswith(end)] == [
        f"{block.name}_{end}" for block in network_blocks(config)
    ]
    x = drawn(kind)[2]
    logits, _, cache = forward(params, state, x, config)
    grads = backward(
        np.random.default_rng(0).standard_normal(logits.shape), cache, params, config
    )
    assert all(grads[name].any() for name in ends if name.endswith(end))
    # whatever the branches' other kernels are, nothing comes through them
    other = {n: p * 2 if "_conv1_kernel" in n else p for n, p in params.items()}
    np.testing.assert_allclose(forward(other, state, x, config)[0], logits, rtol=1e-12)


def test_without_norms_depth_does_not_blow_up():
    config = MODELS["resnet110"]._replace(width=4, normalize=False)
    x = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype("f4")
    logits = forward(*initialize(config, 0), x, config, training=False)[0]
    assert 1e-3 < np.abs(logits).max() < 10  # 54 doublings of variance are 1e16


@pytest.mark.parametrize("kind", KINDS)
def test_eight_images_are_learnt_by_heart(kind, one_thread):
    config = KINDS[kind]._replace(width=8, blocks=(1, 1, 1))
    losses, inference_loss = learn_by_heart(config, until_in_inference=0.05)
    assert losses[0] > 0.8  # it knows nothing at first: ln 4 = 1.39
    assert inference_loss < 0.05


@pytest.mark.parametrize("v2", [False, True], ids=["post", "pre"])
@pytest.mark.parametrize("name", MODELS)
def test_each_model_learns_eight_images_by_heart(name, v2, one_thread):
    config = MODELS[name]._replace(width=4, num_classes=4, pre_activation=v2)
    # before activation deep networks bear higher rates, and learn more slowly
    losses, _ = learn_by_heart(config, until=0.01, lr=0.05 if v2 else 0.02)
    assert losses[0] > 0.8 and losses[-1] < 0.01


def learn_by_heart(config, until=0.0, until_in_inference=0.0, lr=0.02):
    """Losses in training and then in inference, after 120 steps or once one is small.

    Inference is tried after each 20 steps.
    """
    rng = np.random.default_rng(21)
    x = rng.standard_normal((8, 8, 8, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    labels = np.array([3, 1, 0, 1, 2, 3, 2, 0])
    params, state = initialize(config, seed=22)
    velocity = {name: np.zeros_like(array) for name, array in params.items()}
    losses = []

    def loss_in_inference():
        return cross_entropy(
            forward(params, state, x, config, training=False)[0], labels
        )

    for step in range(120):
        if step and step % 20 == 0 and loss_in_inference() < until_in_inference:
            break
        rng = np.random.default_rng(step)
        logits, state, cache = forward(params, state, x, config, rng=rng)
        losses.append(cross_entropy(logits, labels))
        if losses[-1] < until:
            break
        grad_logits = cross_entropy_backward(1.0, logits, labels)
        grads = backward(grad_logits, cache, params, config)
        for name, param in params.items():
            sgd_momentum_update_inplace(param, grads[name], velocity[name], lr=lr)
    return losses, loss_in_inference()
