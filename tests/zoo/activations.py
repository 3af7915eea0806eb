"""Wrong backwards of relu, gelu and dropout."""

import math

import numpy as np

from odyssey.reference import gelu, gelu_backward
from odyssey.reference.gelu import erfc
from zoo.wrong import wrong


@wrong("relu", "mask of the upstream gradient", "mask of the wrong array")
def relu_mask_of_upstream(grad_output, x):
    return np.where(grad_output > 0, grad_output, 0.0)


@wrong("relu", "no mask", "mask left out")
def relu_without_mask(grad_output, x):
    return grad_output.copy()


@wrong("relu", "passes where x is negative", "mask turned round")
def relu_turned_round(grad_output, x):
    return grad_output * (x < 0)


@wrong("relu", "the mask itself, without the upstream gradient",
       "upstream gradient left out")  # fmt: skip
def relu_without_upstream(grad_output, x):
    return (x > 0).astype(x.dtype)


@wrong("relu", "writes to the upstream gradient", "argument changed")
def relu_in_place(grad_output, x):
    grad_output[x <= 0] = 0
    return grad_output


@wrong("relu", "the result multiplied in", "upstream gradient misused")
def relu_times_x(grad_output, x):
    return grad_output * np.maximum(x, 0)


@wrong("gelu", "x * share' forgotten", "path of the product left out")
def gelu_first_term(grad_output, x):
    return grad_output * erfc(-x / np.sqrt(2)) / 2


@wrong("gelu", "share forgotten", "path of the product left out")
def gelu_second_term(grad_output, x):
    return grad_output * x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


@wrong("gelu", "1 / sqrt(2 pi) forgotten", "factor left out")
def gelu_density(grad_output, x):
    return grad_output * (erfc(-x / np.sqrt(2)) / 2 + x * np.exp(-(x**2) / 2))


@wrong("gelu", "derivative of the other form", "other form of the function")
def gelu_other_form(grad_output, x):
    return gelu_backward(grad_output, x, "tanh")


@wrong("gelu", "inner derivative of the tanh forgotten", "factor left out",
       case="a matrix")  # fmt: skip
def gelu_inner_derivative(grad_output, x, approximate="none"):
    tanh = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    return grad_output * ((1 + tanh) / 2 + x * (1 - tanh**2) / 2)


@wrong("gelu", "derivative at the result, kept in the place of x",
       "gradient at the updated value")  # fmt: skip
def gelu_at_the_result(grad_output, x):
    return gelu_backward(grad_output, gelu(x))


@wrong("gelu", "minus between the terms", "wrong sign")
def gelu_minus(grad_output, x):
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return grad_output * (erfc(-x / np.sqrt(2)) / 2 - x * density)


@wrong("dropout", "mask without its scale 1 / (1 - p)", "wrong factor")
def dropout_without_scale(grad_output, mask):
    return grad_output * (mask > 0)


@wrong("dropout", "scale 1 / (1 - p) twice", "wrong factor")
def dropout_scaled_twice(grad_output, mask):
    return grad_output * mask * mask.max()


@wrong("dropout", "another mask drawn", "mask of the wrong array")
def dropout_another_mask(grad_output, mask):
    rng = np.random.default_rng(5)
    return grad_output * (rng.random(mask.shape) >= 0.4) / 0.6


@wrong("dropout", "a mask drawn anew at each call", "another result at each call")
def dropout_drawn_anew(grad_output, mask):
    return grad_output * (np.random.default_rng().random(mask.shape) >= 0.4) / 0.6


@wrong("dropout", "gradient for what was dropped", "mask turned round")
def dropout_turned_round(grad_output, mask):
    return grad_output * (mask == 0)


@wrong("dropout", "gradient scaled, but not masked", "mask left out")
def dropout_without_mask(grad_output, mask):
    return grad_output / 0.6
