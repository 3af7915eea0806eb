"""Wrong backwards of linear and add."""

import numpy as np

from odyssey.op_specs import Case
from odyssey.reference import linear_backward
from zoo.wrong import wrong

SQUARE = Case("square", ((4, 4), (4, 4), (4,)))


@wrong("linear", "weights not transposed back, as many in as out",
       "argument transposed", case=SQUARE)  # fmt: skip
def linear_weights_transposed(grad_output, x, weights):
    return grad_output @ weights.T, grad_output.T @ x, grad_output.sum(axis=0)


@wrong("linear", "gradient of the weights transposed, as many in as out",
       "axes transposed", input=1, case=SQUARE)  # fmt: skip
def linear_grad_weights_transposed(grad_output, x, weights):
    return grad_output @ weights, x.T @ grad_output, grad_output.sum(axis=0)


@wrong("linear", "gradient of the weights transposed",
       "axes transposed", input=1)  # fmt: skip
def linear_grad_weights_of_wrong_shape(grad_output, x, weights):
    return grad_output @ weights, x.T @ grad_output, grad_output.sum(axis=0)


@wrong("linear", "gradient of the weights averaged over the batch",
       "mean instead of sum", input=1)  # fmt: skip
def linear_grad_weights_averaged(grad_output, x, weights):
    return grad_output @ weights, grad_output.T @ x / len(x), grad_output.sum(axis=0)


@wrong("linear", "bias not summed over the batch",
       "summed over too few axes", input=2)  # fmt: skip
def linear_bias_not_summed(grad_output, x, weights):
    return grad_output @ weights, grad_output.T @ x, grad_output


@wrong("linear", "bias summed over the outputs in the place of the batch",
       "summed over the wrong axes", input=2, case=SQUARE)  # fmt: skip
def linear_bias_over_the_outputs(grad_output, x, weights):
    return grad_output @ weights, grad_output.T @ x, grad_output.sum(axis=1)


@wrong("linear", "bias summed over all elements",
       "summed over too many axes", input=2)  # fmt: skip
def linear_bias_a_number(grad_output, x, weights):
    return grad_output @ weights, grad_output.T @ x, np.array(grad_output.sum())


@wrong("linear", "gradient of the input with weights that are updated already",
       "gradient at the updated value")  # fmt: skip
def linear_at_updated_weights(grad_output, x, weights):
    grad_weights = grad_output.T @ x
    weights = weights - 0.1 * grad_weights
    return grad_output @ weights, grad_weights, grad_output.sum(axis=0)


@wrong("linear", "sign of the gradient of the weights turned round",
       "wrong sign", input=1)  # fmt: skip
def linear_sign(grad_output, x, weights):
    return grad_output @ weights, -grad_output.T @ x, grad_output.sum(axis=0)


class Kept:
    total = 0.0


@wrong("linear", "adds to the gradient of earlier calls",
       "gradient kept between calls", input=1)  # fmt: skip
def linear_keeps(grad_output, x, weights):
    grads = linear_backward(grad_output, x, weights)
    Kept.total = (
        Kept.total + grads[1]
        if np.shape(Kept.total) == weights.shape
        else (np.ones(weights.shape))
    )
    return grads[0], np.array(Kept.total), grads[2]


@wrong("linear", "gradient of the weights not filled in", "zero gradient", input=1)
def linear_zero(grad_output, x, weights):
    return grad_output @ weights, np.zeros_like(weights), grad_output.sum(axis=0)


@wrong("linear", "weights only for the first row of the batch",
       "only a part of the batch", input=1)  # fmt: skip
def linear_first_row(grad_output, x, weights):
    return grad_output @ weights, np.outer(grad_output[0], x[0]), grad_output.sum(0)


@wrong("linear", "gradient of the weights in float32", "wrong dtype", input=1)
def linear_float32(grad_output, x, weights):
    grad_weights = (grad_output.T @ x).astype(np.float32)
    return grad_output @ weights, grad_weights, grad_output.sum(axis=0)


@wrong("add", "not summed over the axes that broadcasting repeated",
       "summed over too few axes", input=1, case="a number a channel")  # fmt: skip
def add_not_summed(grad_output, a, b):
    return grad_output.copy(), grad_output.copy()


@wrong("add", "averaged over the axes that broadcasting repeated",
       "mean instead of sum", input=1, case="a number a channel")  # fmt: skip
def add_averaged(grad_output, a, b):
    return grad_output.copy(), grad_output.mean(axis=(0, 2, 3))[:, None, None]


@wrong("add", "half of the gradient for each", "wrong factor")
def add_halved(grad_output, a, b):
    return grad_output / 2, grad_output / 2


@wrong("add", "axes of length 1 dropped",
       "axes of length 1", input=1, case="a number a channel")  # fmt: skip
def add_axes_dropped(grad_output, a, b):
    return grad_output.copy(), grad_output.sum(axis=(0, 2, 3))
