"""The way around a residual block, and the order of the two backwards behind it."""

import numpy as np
import pytest

from odyssey import conv2d, gradcheck, relu_backward
from odyssey.layers.context import Context, Gradients
from odyssey.layers.conv_norm import (
    conv_norm,
    conv_norm_add,
    conv_norm_add_backward,
    conv_norm_backward,
)
from odyssey.layers.shortcut import (
    shortcut,
    shortcut_backward,
    subsample,
    subsample_backward,
)

C, K, STRIDE = 3, 4, 2
SHAPES = {
    "conv1_kernel": (K, C, 3, 3),
    "conv2_kernel": (K, K, 3, 3),
    "proj_kernel": (K, C, 1, 1),
}
NORMS = ("bn1", "bn2", "proj_bn")


def block_tensors():
    rng = np.random.default_rng(1)
    params = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    state = {}
    for norm in NORMS:
        params[f"{norm}_gamma"] = rng.uniform(0.5, 2, K)
        params[f"{norm}_beta"] = rng.standard_normal(K)
        state[f"{norm}_running_mean"] = np.zeros(K)
        state[f"{norm}_running_var"] = np.ones(K)
    return params, state


def block(context, x):
    """A residual block with a projection."""
    h, conv1 = conv_norm(context, "conv1", "bn1", x, STRIDE)
    around, proj = shortcut(
        context,
        "B",
        x,
        out_channels=K,
        stride=STRIDE,
        conv="proj",
        norm="proj_bn",
    )
    out, conv2 = conv_norm_add(context, "conv2", "bn2", h, around)
    return out, (conv1, conv2, proj, out)


def block_backward(grads, grad_output, cache, *, branch_first=True, lends=True):
    conv1, conv2, proj, out = cache
    grad_sum = relu_backward(grad_output, out)
    reuse = grad_sum if lends else None

    def around():
        return shortcut_backward(
            grads, "B", grad_sum, conv1.x, STRIDE, proj, reuse=reuse
        )

    if branch_first:
        grad_h = conv_norm_add_backward(grads, grad_sum, conv2)
        grad_shortcut = around()
    else:
        grad_shortcut = around()
        grad_h = conv_norm_add_backward(grads, grad_sum, conv2)
    return conv_norm_backward(grads, grad_h, conv1, reuse=grad_h, addend=grad_shortcut)


def check_block(**order):
    params, state = block_tensors()
    names = list(params)
    x = np.random.default_rng(2).standard_normal((2, 5, 6, C)).transpose(0, 3, 1, 2)

    def forward(x, *values):
        params = dict(zip(names, values, strict=True))
        return block(Context(params, state, True), x)

    def backward(grad_output, x, *values):
        grads = Gradients(dict(zip(names, values, strict=True)))
        _, cache = forward(x, *values)
        grad_input = block_backward(grads, grad_output, cache, **order)
        return grad_input, *grads.in_order().values()

    return gradcheck(
        lambda *inputs: forward(*inputs)[0],
        backward,
        (x, *params.values()),
        samples=20,
        eps=1e-6,
    )


def test_the_branch_comes_before_the_shortcut_that_writes_over_its_gradient():
    assert check_block() <= 1e-6


def test_the_other_order_is_noticed():
    # the projection's backward has written over what the branch is given
    with pytest.raises(AssertionError, match="gradcheck: input"):
        check_block(branch_first=False)


def test_without_lending_the_order_does_not_matter():
    assert check_block(branch_first=False, lends=False) <= 1e-6


def test_an_identity_hands_on_what_it_is_given():
    params, state = block_tensors()
    x = np.ones((2, C, 4, 4))
    context = Context(params, state, True)
    out, cache = shortcut(
        context, "identity", x, out_channels=C, stride=1, conv="proj", norm=None
    )
    assert out is x and cache is None
    grads = Gradients(params)
    assert shortcut_backward(grads, "identity", x, x, 1, None, reuse=x) is x
    assert grads == {}


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_subsampling_takes_every_strideth_pixel_and_adds_zeros(stride):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, C, 5, 7))
    context = Context({}, {}, True)
    out, cache = shortcut(
        context, "A", x, out_channels=5, stride=stride, conv="proj", norm=None
    )
    assert cache is None
    # a 1x1 convolution whose kernel is the identity
    kernel = np.eye(5, C)[:, :, None, None]
    np.testing.assert_array_equal(out, conv2d(x, kernel, None, stride, 0))
    np.testing.assert_array_equal(out, subsample(x, 5, stride))

    grad = rng.standard_normal(out.shape)
    kept = grad.copy()
    got = shortcut_backward(Gradients({}), "A", grad, x, stride, None, reuse=grad)
    np.testing.assert_array_equal(got, subsample_backward(grad, x, stride))
    np.testing.assert_array_equal(grad, kept)
    worst = gradcheck(
        lambda x: subsample(x, 5, stride),
        lambda grad_output, x: subsample_backward(grad_output, x, stride),
        (x,),
    )
    assert worst <= 1e-6


def test_a_projection_is_a_convolution_of_its_own():
    params, state = block_tensors()
    x = np.random.default_rng(4).standard_normal((2, C, 5, 6))
    fitted = {"out_channels": K, "stride": STRIDE, "conv": "proj", "norm": "proj_bn"}
    out, cache = shortcut(Context(params, state, True), "B", x, **fitted)
    want, same = conv_norm(
        Context(params, state, True), "proj", "proj_bn", x, STRIDE, relu=False
    )
    np.testing.assert_array_equal(out, want)
    assert (out < 0).any()  # no relu before the addition
    grad = np.random.default_rng(5).standard_normal(out.shape)
    kept, grads, others = grad.copy(), Gradients(params), Gradients(params)
    got = shortcut_backward(grads, "B", grad, x, STRIDE, cache)
    np.testing.assert_array_equal(grad, kept)
    np.testing.assert_array_equal(got, conv_norm_backward(others, grad, same))
    assert list(grads) == ["proj_bn_gamma", "proj_bn_beta", "proj_kernel"]
