"""Wrong tries of Winograd's convolution in two dimensions."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

TRIES = [
    Try(
        "columns only",
        "for axis in (-2, -1):",
        "for axis in (-2,):",
        "winograd_tile",
        HAND,
        "along the rows",
    ),
    Try(
        "the first axis of the patch",
        "for axis in (-2, -1):",
        "for axis in (0, 1):",
        "winograd_tile",
        HAND,
    ),
    Try(
        "the patch transposed",
        "_both_axes(transform_input, patch)",
        "_both_axes(transform_input, patch.swapaxes(-1, -2))",
        "winograd_tile",
        HAND,
        "tile is wrong in",
    ),
    Try(
        "channels are not summed",
        "(filters * data).sum(axis=1)",
        "(filters * data)[:, 0]",
        "winograd_tile",
        CASES,
        "two channels",
    ),
    Try(
        "kernels summed in place of channels",
        "(filters * data).sum(axis=1)",
        "(filters * data).sum(axis=0)",
        "winograd_tile",
        CASES,
        "tile must be an array of shape",
    ),
    Try(
        "patches side by side without overlap",
        "x_pad[n, :, p : p + 4, q : q + 4]",
        "x_pad[n, :, 2 * p : 2 * p + 4, 2 * q : 2 * q + 4]",
        "winograd_2d",
        HAND,
        "The patches overlap by two columns",
    ),
    Try(
        "an odd number is forgotten",
        "padding + P % 2), (padding, padding + Q % 2)",
        "padding), (padding, padding)",
        "winograd_2d",
        CASES,
        "an odd number of columns",
    ),
    Try(
        "what hangs over is not cut off",
        "return out[:, :, :P, :Q]",
        "return out",
        "winograd_2d",
        CASES,
        "out must be an array of shape (1, 1, 2, 3) and dtype float64; yours is an "
        "array of shape (1, 1, 2, 4)",
    ),
    Try(
        "no padding",
        "(padding, padding + P % 2), (padding, padding + Q % 2)",
        "(0, 2 * padding + P % 2), (0, 2 * padding + Q % 2)",
        "winograd_2d",
        CASES,
        "padding of 1",
    ),
]
