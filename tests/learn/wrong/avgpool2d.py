"""Wrong tries of average pooling."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

MEAN = "x[:, :, rows[p], cols[q]].sum(axis=(2, 3)) / kernel_size**2"
SHARE = "share[:, :, None, None]"

TRIES = [
    Try(
        "mean of what is inside the image",
        f"out[:, :, p, q] = {MEAN}",
        "out[:, :, p, q] = x[:, :, rows[p], cols[q]].mean(axis=(2, 3))",
        "avgpool2d",
        CASES,
        "padding of 1",
    ),
    Try(
        "divided by kernel_size",
        "kernel_size**2",
        "kernel_size",
        "avgpool2d",
        HAND,
        "(1 + 5 + 4 + 3) / 4",
    ),
    Try(
        "the mean of all channels",
        f"out[:, :, p, q] = {MEAN}",
        "out[:, :, p, q] = x[:, :, rows[p], cols[q]].sum() / kernel_size**2",
        "avgpool2d",
        CASES,
        "two images of two channels",
    ),
    Try(
        "not divided in the backward",
        "share = grad_output[:, :, p, q] / kernel_size**2",
        "share = grad_output[:, :, p, q]",
        "avgpool2d_backward",
        HAND,
        "grad_input: sum instead of mean",
    ),
    Try(
        "the last window overwrites",
        f"+= {SHARE}",
        f"= {SHARE}",
        "avgpool2d_backward",
        HAND,
        "grad_input: overwritten instead of added",
    ),
    Try(
        "divided by what is inside the image in the backward",
        f"+= {SHARE}",
        "+= (\n            share * kernel_size**2 "
        "/ x[0, 0, rows[p], cols[q]].size\n        )[:, :, None, None]",
        "avgpool2d_backward",
        CASES,
        "padding of 1",
    ),
    Try(
        "global mean of all channels",
        "x.mean(axis=(2, 3), keepdims=True)",
        "x.mean(axis=(1, 2, 3), keepdims=True)",
        "global_avgpool2d",
        HAND,
        "out must be an array of shape (1, 2, 1, 1)",
    ),
    Try(
        "axes are lost",
        "x.mean(axis=(2, 3), keepdims=True)",
        "x.mean(axis=(2, 3))",
        "global_avgpool2d",
        HAND,
        "yours is an array of shape (1, 2)",
    ),
    Try(
        "each pixel gets all of it",
        "np.ones_like(x) * grad_output / (x.shape[2] * x.shape[3])",
        "np.ones_like(x) * grad_output",
        "global_avgpool2d_backward",
        HAND,
        "Each pixel counts 1/4",
    ),
]
