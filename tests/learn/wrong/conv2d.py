"""Wrong tries of convolution."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

LOOPS = """
    C = x.shape[1]
    for n, k, p, q in np.ndindex(N, K, P, Q):
        for c, r, s in np.ndindex(C, R, S):
            pixel = x_pad[n, c, p * stride + r, q * stride + s]
            out[n, k, p, q] += pixel * kernel[k, c, r, s]
"""
RIGHT = """
    for r, s in np.ndindex(R, S):
        # The pixels under tap (r, s), one for each output pixel: (N, C, P, Q).
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        out += np.einsum("ncpq,kc->nkpq", x_pad[taps], kernel[:, :, r, s])
"""


def loops(old: str, new: str) -> str:
    assert old in LOOPS
    return LOOPS.replace(old, new)


TRIES = [
    Try(
        "kernel turned",
        "kernel[:, :, r, s]",
        "kernel[:, :, R - 1 - r, S - 1 - s]",
        "conv2d",
        HAND,
        "The weights are  1  2",
    ),
    Try("padding left out", RIGHT, loops("x_pad[", "x["), "conv2d", HAND, "IndexError"),
    Try(
        "stride left out",
        RIGHT,
        loops("p * stride + r, q * stride + s", "p + r, q + s"),
        "conv2d",
        HAND,
        "moves by 2",
    ),
    Try(
        "a row too few",
        "P = (H + 2 * padding - R) // stride + 1",
        "P = (H + 2 * padding - R) // stride",
        "conv2d",
        HAND,
        "out must be an array of shape (1, 1, 2, 2) and dtype float64; yours is an "
        "array of shape (1, 1, 1, 2)",
    ),
    Try(
        "rows and columns mixed up",
        RIGHT,
        loops("p * stride + r, q * stride + s", "q * stride + r, p * stride + s"),
        "conv2d",
        HAND,
    ),
    Try(
        "the first channel only",
        RIGHT,
        loops("np.ndindex(C, R, S)", "np.ndindex(1, R, S)"),
        "conv2d",
        CASES,
        'In the case "two channels',
    ),
    Try(
        "the last product only",
        RIGHT,
        loops("+= pixel", "= pixel"),
        "conv2d",
        HAND,
    ),
    Try(
        "bias along the columns",
        "out + bias[:, None, None]",
        "out + bias",
        "conv2d",
        CASES,
        "two kernels, a bias for each",
    ),
    Try(
        "no case without a bias",
        "out if bias is None else out + bias[:, None, None]",
        "out + bias[:, None, None]",
        "conv2d",
        CASES,
        "TypeError",
    ),
    Try(
        "channels padded as well",
        "[(0, 0), (0, 0), (padding, padding), (padding, padding)]",
        "padding",
        "conv2d",
        HAND,
    ),
]
