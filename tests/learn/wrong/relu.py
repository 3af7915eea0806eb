"""Wrong tries of relu."""

from tries import Try

from odyssey.learn.grading import ARGUMENTS, CASES, DTYPE, EDGES, HAND

FORWARD = "np.where(x <= 0, x.dtype.type(0), x)"
BACKWARD = "np.where(x <= 0, x.dtype.type(0), grad_output)"

TRIES = [
    Try(
        "mask turned round",
        BACKWARD,
        "np.where(x >= 0, x.dtype.type(0), grad_output)",
        "relu_backward",
        HAND,
        "x = 2, 3 and 1.5",
    ),
    Try(
        "derivative 1 at 0",
        BACKWARD,
        "np.where(x < 0, x.dtype.type(0), grad_output)",
        "relu_backward",
        HAND,
        "wrong in 1 of 6 elements; for example in element [0, 2]",
    ),
    Try(
        "relu of the gradient",
        BACKWARD,
        "np.maximum(grad_output, 0)",
        "relu_backward",
        HAND,
    ),
    Try(
        "NaN becomes 0",
        FORWARD,
        "np.where(x > 0, x, 0 * np.ones_like(x))",
        "relu",
        EDGES,
    ),
    Try(
        "float64 whatever came",
        FORWARD,
        "np.where(x <= 0, np.zeros(1), x).reshape(x.shape)",
        "relu",
        DTYPE,
        "out must be an array of shape () and dtype float32",
    ),
    Try(
        "writes into the gradient",
        f"return {BACKWARD}",
        "grad_output[...] = np.where(x <= 0, 0, grad_output); return grad_output",
        "relu_backward",
        ARGUMENTS,
        "changed its argument grad_output",
    ),
    Try(
        "a list", f"return {FORWARD}", f"return list({FORWARD})", "relu", HAND, "a list"
    ),
    Try(
        "more than one axis only",
        f"return {BACKWARD}",
        f"return {BACKWARD} if x.ndim else grad_output[0]",
        "relu_backward",
        CASES,
        "IndexError",
    ),
]
