"""Wrong tries of max pooling."""

from tries import Try

from odyssey.learn.grading import CASES, EDGES, HAND

TRIES = [
    Try(
        "padding of zeros",
        "x[:, :, rows[p], cols[q]].max(axis=(2, 3))",
        "np.maximum(x[:, :, rows[p], cols[q]].max(axis=(2, 3)), 0 if padding else "
        "-np.inf)",
        "maxpool2d",
        CASES,
        "padding",
    ),
    Try(
        "windows that hang over the end",
        "length + padding - size + 1",
        "length + padding",
        "maxpool2d",
        HAND,
        "out must be an array of shape (1, 1, 2, 2)",
    ),
    Try(
        "stride of 1 whatever was given",
        "starts = range(-padding, length + padding - size + 1, stride)",
        "starts = range(-padding, length + padding - size + 1)",
        "maxpool2d",
        CASES,
        "out must be an array of shape",
    ),
    Try(
        "a stride of None",
        "spans, stride = [], size if stride is None else stride",
        "spans = []",
        "maxpool2d",
        CASES,
        "TypeError",
    ),
    Try(
        "a beginning before the image",
        "slice(max(start, 0), start + size)",
        "slice(start, start + size)",
        "maxpool2d",
        CASES,
    ),
    Try(
        "the last window overwrites",
        "[first] += grad_output",
        "[first] = grad_output",
        "maxpool2d_backward",
        HAND,
        "grad_input: overwritten instead of added",
    ),
    Try(
        "all maxima get the gradient",
        "grad_input[n, c, rows[p], cols[q]][first] += grad_output[n, c, p, q]",
        "grad_input[n, c, rows[p], cols[q]][window == window.max()] += "
        "grad_output[n, c, p, q]",
        "maxpool2d_backward",
        HAND,
        "two are 5",
    ),
    Try(
        "the last maximum",
        "window.argmax()",
        "window.size - 1 - window.ravel()[::-1].argmax()",
        "maxpool2d_backward",
        HAND,
        "The first, row by row",
    ),
    Try(
        "as in average pooling",
        "grad_input[n, c, rows[p], cols[q]][first] += grad_output[n, c, p, q]",
        "grad_input[n, c, rows[p], cols[q]] += grad_output[n, c, p, q] / window.size",
        "maxpool2d_backward",
        HAND,
        "grad_input: every element of the window",
    ),
    Try(
        "NaN is passed over",
        "x[:, :, rows[p], cols[q]].max(axis=(2, 3))",
        "np.nanmax(x[:, :, rows[p], cols[q]], axis=(2, 3))",
        "maxpool2d",
        EDGES,
        "a NaN",
    ),
]
