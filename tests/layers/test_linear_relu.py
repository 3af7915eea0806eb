"""A hidden linear layer: the operations it stands for, its gradients, its dropout."""

import numpy as np
import pytest

from odyssey import dropout, gradcheck, linear, relu
from odyssey.layers.context import Context, Gradients
from odyssey.layers.linear_relu import linear_relu, linear_relu_backward

DROPOUT = 0.4


def tensors():
    rng = np.random.default_rng(1)
    params = {
        "h_weights": rng.standard_normal((7, 5)),
        "h_bias": rng.standard_normal(7),
    }
    return params, rng.standard_normal((6, 5))


def test_it_is_linear_then_relu_then_dropout():
    params, x = tensors()
    h = relu(linear(x, params["h_weights"], params["h_bias"]))
    context = Context(params, {}, True, rng=np.random.default_rng(2))
    out, cache = linear_relu(context, "h", x, DROPOUT)
    want, mask = dropout(h, DROPOUT, np.random.default_rng(2))
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(cache.mask, mask)
    assert 0 < np.count_nonzero(mask == 0) < mask.size


def test_nothing_is_drawn_where_nothing_is_dropped():
    params, x = tensors()
    h = relu(linear(x, params["h_weights"], params["h_bias"]))
    out, cache = linear_relu(Context(params, {}, True), "h", x)
    np.testing.assert_array_equal(out, h)
    assert cache.mask is None
    out, cache = linear_relu(Context(params, {}, False), "h", x, DROPOUT)
    np.testing.assert_array_equal(out, h)
    assert cache is None
    with pytest.raises(TypeError, match="rng"):
        linear_relu(Context(params, {}, True), "h", x, DROPOUT)


@pytest.mark.parametrize("p", [0.0, DROPOUT])
def test_gradients_are_those_of_differences(p):
    params, x = tensors()

    def forward(x, weights, bias):
        named = {"h_weights": weights, "h_bias": bias}
        context = Context(named, {}, True, rng=np.random.default_rng(3))
        return linear_relu(context, "h", x, p)

    def backward(grad_output, x, weights, bias):
        grads = Gradients({"h_weights": weights, "h_bias": bias})
        kept = grad_output.copy()
        cache = forward(x, weights, bias)[1]
        grad_input = linear_relu_backward(grads, grad_output, cache)
        np.testing.assert_array_equal(grad_output, kept)
        return grad_input, *grads.in_order().values()

    inputs = (x, *params.values())
    assert gradcheck(lambda *i: forward(*i)[0], backward, inputs, eps=1e-6) <= 1e-6
