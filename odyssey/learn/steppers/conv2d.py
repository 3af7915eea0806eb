"""The stepper of conv2d: its first values, and what they give."""

import numpy as np

from odyssey.learn.steppers.stepper import Arrays, Options, Stepper
from odyssey.reference.conv import conv2d, conv2d_backward


def results(values: Arrays, options: Options) -> dict[str, np.ndarray]:
    """Return out and the three gradients."""
    C, K, size, R = (options[name] for name in ("C", "K", "size", "kernel"))
    where = {"stride": options["stride"], "padding": options["padding"]}
    x, kernel = values["x"][:, :C, :size, :size], values["kernel"][:K, :C, :R, :R]
    out = conv2d(x, kernel, values["bias"][:K], **where)
    grad_output = values["grad_output"][:, :K, : out.shape[2], : out.shape[3]]
    gradients = conv2d_backward(grad_output, x, kernel, **where)
    names = ("grad_input", "grad_kernel", "grad_bias")
    return {"out": out, **dict(zip(names, gradients, strict=True))}


# With the options below, those of docs/derivations/convolution.md.
_x = [
    [1, 2, 3, 1, 0],
    [4, 5, 6, 0, 2],
    [7, 8, 9, 2, 1],
    [0, 1, 3, 1, 2],
    [2, 0, 1, 4, 1],
]
_more = [
    [0, 1, 2, 0, 1],
    [2, 1, 0, 3, 1],
    [1, 0, 1, 2, 0],
    [3, 1, 2, 0, 1],
    [0, 2, 1, 1, 3],
]
_kernel = [[1, 2, 1], [0, -1, 2], [-1, 0, 1]]
_grad = [[1, 2, -1, 0, 1, 2], [3, -1, 2, 1, 0, 1], [0, 1, 1, -2, 2, 0]] * 2

STEPPER = Stepper(
    title="Convolution",
    about="A kernel slides over an image. Every product of a pixel and a weight is one"
    " step. In the backward, the same products hand the gradient back: to the weight,"
    " and to the pixel.",
    values={
        "x": np.array([[_x, _more]], float),
        "kernel": np.array(
            [[_kernel, np.transpose(_kernel)], [np.flip(_kernel), np.eye(3)]], float
        ),
        "bias": np.array([0.0, 1.0]),
        "grad_output": np.array([[_grad, np.flip(_grad)]], float),
    },
    options={"size": 3, "kernel": 2, "stride": 1, "padding": 0, "C": 1, "K": 1},
    results=results,
    functions=(conv2d, conv2d_backward),
    lines={
        "product": "out += np.einsum",
        "bias": "return out if bias is None",
        "grad_kernel": "grad_kernel[:, :, r, s] = np.einsum",
        "grad_input": "grad_input_pad[taps] += np.einsum",
        "grad_bias": "return grad_input, grad_kernel, grad_output.sum",
    },
)
