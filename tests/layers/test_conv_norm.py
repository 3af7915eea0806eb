"""Layers are plain operations put together, and borrow memory only where told to."""

import ml_dtypes
import numpy as np
import pytest

from odyssey import (
    add,
    batch_norm2d,
    batch_norm2d_backward,
    conv2d,
    conv2d_backward,
    dropout,
    gradcheck,
    relu,
    relu_backward,
)
from odyssey.layers.context import Context, Gradients
from odyssey.layers.conv_norm import (
    conv_norm,
    conv_norm_add,
    conv_norm_add_backward,
    conv_norm_backward,
)
from odyssey.layers.norm import BN_MOMENTUM, norm_backward, norm_relu


def draw(rng, *shape):
    """Random numbers in channels-last memory, as networks have them."""
    if len(shape) < 4:
        return rng.standard_normal(shape)
    return rng.standard_normal([shape[i] for i in (0, 2, 3, 1)]).transpose(0, 3, 1, 2)


def tensors(channels=3, out_channels=4, size=3, bias=False):
    """Parameters and running statistics of a convolution ``c`` and a norm ``n``."""
    rng = np.random.default_rng(1)
    K = out_channels
    params = {"c_kernel": rng.standard_normal((K, channels, size, size))}
    if bias:
        params["c_bias"] = rng.standard_normal(K)
    params |= {"n_gamma": rng.uniform(0.5, 2, K), "n_beta": rng.standard_normal(K)}
    state = {
        "n_running_mean": rng.standard_normal(K),
        "n_running_var": rng.uniform(0.5, 2, K),
    }
    return params, state


def plain_norm(params, state, h):
    return batch_norm2d(
        h,
        params["n_gamma"],
        params["n_beta"],
        state["n_running_mean"],
        state["n_running_var"],
        momentum=BN_MOMENTUM,
    )


def plain_norm_backward(params, state, grad, h):
    return batch_norm2d_backward(
        grad,
        h,
        params["n_gamma"],
        params["n_beta"],
        state["n_running_mean"],
        state["n_running_var"],
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3])
def test_convolution_norm_and_relu_in_training(stride, size):
    params, state = tensors(size=size)
    rng = np.random.default_rng(2)
    x = draw(rng, 2, 3, 6, 5)
    context = Context(params, state, True)
    before = {name: array.copy() for name, array in state.items()}
    out, cache = conv_norm(context, "c", "n", x, stride)

    h = conv2d(x, params["c_kernel"], None, stride, size // 2)
    normed, mean, var = plain_norm(params, state, h)
    np.testing.assert_array_equal(out, relu(normed))
    np.testing.assert_array_equal(context.new_state["n_running_mean"], mean)
    np.testing.assert_array_equal(context.new_state["n_running_var"], var)
    for name, array in before.items():
        np.testing.assert_array_equal(state[name], array)

    grads, grad = Gradients(params), draw(rng, *out.shape)
    grad_input = conv_norm_backward(grads, grad, cache)
    grad_h, grad_gamma, grad_beta = plain_norm_backward(
        params, state, relu_backward(grad, normed), h
    )
    want = conv2d_backward(grad_h, x, params["c_kernel"], stride, size // 2)
    np.testing.assert_array_equal(grad_input, want[0])
    np.testing.assert_array_equal(grads["c_kernel"], want[1])
    np.testing.assert_array_equal(grads["n_gamma"], grad_gamma)
    np.testing.assert_array_equal(grads["n_beta"], grad_beta)
    assert list(grads.in_order()) == list(params)


@pytest.mark.parametrize("bias", [False, True])
def test_without_norm_it_is_convolution_and_relu(bias):
    params, state = tensors(bias=bias)
    rng = np.random.default_rng(3)
    x = draw(rng, 2, 3, 6, 5)
    h = conv2d(x, params["c_kernel"], params.get("c_bias"), 1, 1)
    for norm, normalize in ((None, True), ("n", False)):
        context = Context(params, state, True, normalize=normalize)
        out, cache = conv_norm(context, "c", norm, x)
        np.testing.assert_array_equal(out, relu(h))
        assert context.new_state == state

        grads, grad = Gradients(params), draw(rng, *out.shape)
        got = conv_norm_backward(grads, grad, cache)
        want = conv2d_backward(relu_backward(grad, h), x, params["c_kernel"], 1, 1)
        np.testing.assert_array_equal(got, want[0])
        np.testing.assert_array_equal(grads["c_kernel"], want[1])
        assert ("c_bias" in grads) == bias
        if bias:
            np.testing.assert_array_equal(grads["c_bias"], want[2])
        assert not grads.keys() & {"n_gamma", "n_beta"}


def test_at_inference_norms_are_folded_and_nothing_is_kept():
    params, _ = tensors(bias=True)
    rng = np.random.default_rng(4)
    x, shortcut = draw(rng, 2, 3, 6, 5), draw(rng, 2, 4, 6, 5)
    context = Context(params, {}, False)
    h = conv2d(x, params["c_kernel"], params["c_bias"], 1, 1)
    out, cache = conv_norm(context, "c", "n", x)
    assert cache is None
    np.testing.assert_array_equal(out, relu(h))
    # nothing is dropped, and nobody draws
    out, cache = conv_norm_add(context, "c", "n", x, shortcut, drop_path=0.9)
    assert cache is None
    np.testing.assert_allclose(out, relu(add(h, shortcut)), rtol=0, atol=1e-13)
    assert context.new_state == {}


def test_a_branch_and_its_shortcut():
    params, state = tensors()
    rng = np.random.default_rng(5)
    x, shortcut = draw(rng, 2, 3, 6, 5), draw(rng, 2, 4, 6, 5)
    h = conv2d(x, params["c_kernel"], None, 1, 1)
    normed, _, _ = plain_norm(params, state, h)
    for with_relu in (True, False):
        context = Context(params, state, True)
        out, cache = conv_norm_add(context, "c", "n", x, shortcut, relu=with_relu)
        total = add(normed, shortcut)
        np.testing.assert_array_equal(out, relu(total) if with_relu else total)
        # the gradient is that of the sum: the relu's backward is the block's
        grads, grad = Gradients(params), draw(rng, *out.shape)
        got = conv_norm_add_backward(grads, grad, cache)
        grad_h, *of_norm = plain_norm_backward(params, state, grad, h)
        want = conv2d_backward(grad_h, x, params["c_kernel"], 1, 1)
        np.testing.assert_array_equal(got, want[0])
        np.testing.assert_array_equal(grads["c_kernel"], want[1])
        np.testing.assert_array_equal(grads["n_gamma"], of_norm[0])
        np.testing.assert_array_equal(grads["n_beta"], of_norm[1])


def test_stochastic_depth_leaves_branches_of_images_out():
    params, state = tensors()
    rng = np.random.default_rng(6)
    x, shortcut = draw(rng, 6, 3, 4, 5), draw(rng, 6, 4, 4, 5)
    context = Context(params, state, True, rng=np.random.default_rng(7))
    out, cache = conv_norm_add(context, "c", "n", x, shortcut, drop_path=0.5)
    scale = dropout(np.ones((6, 1, 1, 1)), 0.5, np.random.default_rng(7))[1]
    assert set(scale.ravel()) == {0.0, 2.0}
    h = conv2d(x, params["c_kernel"], None, 1, 1)
    branch = plain_norm(params, state, h)[0]
    np.testing.assert_array_equal(out, relu(branch * scale + shortcut))

    grads, grad = Gradients(params), draw(rng, *out.shape)
    kept = grad.copy()
    got = conv_norm_add_backward(grads, grad, cache)
    np.testing.assert_array_equal(grad, kept)
    grad_h = plain_norm_backward(params, state, grad * scale, h)[0]
    want = conv2d_backward(grad_h, x, params["c_kernel"], 1, 1)
    np.testing.assert_array_equal(got, want[0])
    np.testing.assert_array_equal(grads["c_kernel"], want[1])


def test_in_bfloat16_branches_are_scaled_in_float32_and_rounded_once():
    """The factor 1/(1 - 0.1) is not a bfloat16 number."""
    bf16 = np.dtype(ml_dtypes.bfloat16)
    x = np.random.default_rng(3).standard_normal((6, 4, 5, 5)).astype(bf16)
    kernel = np.random.default_rng(4).standard_normal((4, 4, 3, 3)).astype("f4")
    params = {"c_kernel": kernel}
    scales = [
        Context(params, {}, True, rng=np.random.default_rng(1)).branch_scale(y, 0.1)
        for y in (x, x.astype("f4"))
    ]
    assert scales[0].dtype == scales[1].dtype == np.float32
    np.testing.assert_array_equal(*scales)
    assert np.float32(1 / 0.9) in scales[0]
    context = Context(params, {}, True, normalize=False, rng=np.random.default_rng(1))
    out, cache = conv_norm_add(context, "c", None, x, x, drop_path=0.1, relu=False)
    branch = conv2d(x, kernel, None, 1, 1).astype("f4")
    want = (branch * scales[0]).astype(bf16).astype("f4") + x.astype("f4")
    np.testing.assert_array_equal(out, want.astype(bf16))
    grads = Gradients(params)
    grad = conv_norm_add_backward(grads, x, cache)
    assert (grad.dtype, grads["c_kernel"].dtype) == (bf16, np.float32)


def test_a_norm_with_no_convolution_before_it():
    params, state = tensors()
    rng = np.random.default_rng(8)
    x = draw(rng, 2, 4, 6, 5)
    grad = draw(rng, *x.shape)

    context = Context(params, state, True)
    out, cache = norm_relu(context, "n", x)
    normed, mean, _ = plain_norm(params, state, x)
    np.testing.assert_array_equal(out, relu(normed))
    np.testing.assert_array_equal(context.new_state["n_running_mean"], mean)
    grads = Gradients(params)
    got = norm_backward(grads, grad, cache)
    want = plain_norm_backward(params, state, relu_backward(grad, normed), x)
    np.testing.assert_array_equal(got, want[0])

    # at inference it is not folded: its statistics stand beside its parameters
    context = Context({**params, **state}, {}, False)
    out, cache = norm_relu(context, "n", x)
    statistics = state["n_running_mean"], state["n_running_var"]
    right = batch_norm2d(
        x, params["n_gamma"], params["n_beta"], *statistics, training=False
    )
    np.testing.assert_array_equal(out, relu(right[0]))
    assert cache is None

    for training in (True, False):
        context = Context(params, state, training, normalize=False)
        out, cache = norm_relu(context, "n", x)
        np.testing.assert_array_equal(out, relu(x))
        assert (cache is None) == (not training)
    np.testing.assert_array_equal(norm_backward(Gradients(params), grad, None), grad)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_those_of_differences(stride, normalize):
    params, state = tensors()
    x = draw(np.random.default_rng(9), 2, 3, 5, 6)
    names = list(params)

    def forward(x, *values):
        context = Context(
            dict(zip(names, values, strict=True)), state, True, normalize=normalize
        )
        return conv_norm(context, "c", "n", x, stride)

    def backward(grad_output, x, *values):
        grads = Gradients(dict(zip(names, values, strict=True)))
        cache = forward(x, *values)[1]
        grad_input = conv_norm_backward(grads, grad_output, cache)
        return grad_input, *(grads.get(name) for name in names)

    checked = range(1 + len(names)) if normalize else (0, 1)
    worst = gradcheck(
        lambda *inputs: forward(*inputs)[0],
        backward,
        (x, *params.values()),
        wrt=checked,
        samples=20,
        eps=1e-6,
    )
    assert worst <= 1e-6


def backwards():
    """Each backward that may lend memory, as a function of the gradient and reuse."""
    params, state = tensors()
    rng = np.random.default_rng(10)
    x, shortcut = draw(rng, 2, 3, 6, 5), draw(rng, 2, 4, 6, 5)
    training = Context(params, state, True)
    without = Context(params, state, True, normalize=False)
    convs = {
        "conv_norm": conv_norm(training, "c", "n", x)[1],
        "conv_norm, no relu": conv_norm(training, "c", "n", x, relu=False)[1],
        "conv_relu": conv_norm(without, "c", "n", x)[1],
        "conv_norm_add": conv_norm_add(training, "c", "n", x, shortcut)[1],
    }
    norms = {
        "norm_relu": norm_relu(training, "n", shortcut)[1],
        "relu": norm_relu(without, "n", shortcut)[1],
    }
    for function, caches in ((conv_norm_backward, convs), (norm_backward, norms)):
        for name, cache in caches.items():
            yield pytest.param(params, function, cache, id=name)


@pytest.mark.parametrize("params, function, cache", list(backwards()))
def test_a_gradient_is_written_over_only_where_the_call_says_so(
    params, function, cache
):
    grad = draw(np.random.default_rng(11), 2, 4, 6, 5)
    lent, kept = grad.copy(order="K"), grad.copy()
    grads, same = Gradients(params), Gradients(params)
    got = function(grads, grad, cache)
    np.testing.assert_array_equal(grad, kept)
    assert not np.shares_memory(got, grad)
    again = function(same, lent, cache, reuse=lent)
    np.testing.assert_array_equal(again, got)
    assert (lent != kept).any()
    assert same.keys() == grads.keys()
    for name, value in grads.items():
        np.testing.assert_array_equal(same[name], value)


def test_the_gradient_of_an_image_is_left_out_where_nobody_needs_it():
    params, state = tensors()
    rng = np.random.default_rng(12)
    x = draw(rng, 2, 3, 6, 5)
    out, cache = conv_norm(Context(params, state, True), "c", "n", x)
    grad, addend = draw(rng, *out.shape), draw(rng, *x.shape)
    grads, fewer, more = Gradients(params), Gradients(params), Gradients(params)
    whole = conv_norm_backward(grads, grad, cache)
    assert conv_norm_backward(fewer, grad, cache, needs_grad_input=False) is None
    total = conv_norm_backward(more, grad, cache, addend=addend)
    np.testing.assert_allclose(total, whole + addend, rtol=0, atol=1e-13)
    for name, value in grads.items():
        np.testing.assert_array_equal(fewer[name], value)
        np.testing.assert_array_equal(more[name], value)
