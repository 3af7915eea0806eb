"""Wrong backwards of max, average and global average pooling."""

import numpy as np

from odyssey.op_specs import Case, distinct, window
from odyssey.reference import avgpool2d_backward, maxpool2d_backward
from zoo.wrong import wrong

OVERLAPPING = "3 stride 2 padded"
TAIL = "2 leaves a tail"


def tied(rng):
    """Images in which many windows have two equal maxima, and none has three."""
    x = distinct(2, 2, 4, 6)(rng)
    x[0, 0, 0, 0:2] = 90.0
    x[0, 1, 2:4, 2] = 91.0
    x[1, 1, 1, 4:6] = 92.0
    return x


TIES = Case("ties", (tied,), window(2))


def corners(grad_output, stride):
    P, Q = grad_output.shape[2:]
    return [(p, q, p * stride, q * stride) for p, q in np.ndindex(P, Q)]


def windows(x, grad_output, kernel_size, stride, padding):
    """Each window's place in the result, and its rows and columns of x."""
    for p, q, i, j in corners(grad_output, stride or kernel_size):
        rows = slice(max(i - padding, 0), i - padding + kernel_size)
        yield p, q, rows, slice(max(j - padding, 0), j - padding + kernel_size)


@wrong("maxpool2d", "all equal maxima get the whole gradient", "ties", case=TIES)
def maxpool2d_all_ties(grad_output, x, kernel_size, stride=None, padding=0):
    grad_input = np.zeros_like(x)
    for p, q, rows, cols in windows(x, grad_output, kernel_size, stride, padding):
        pixels = x[:, :, rows, cols]
        mask = pixels == pixels.max(axis=(2, 3), keepdims=True)
        grad_input[:, :, rows, cols] += mask * grad_output[:, :, p, q, None, None]
    return grad_input


@wrong("maxpool2d", "windows assign their gradient, not add",
       "overwritten instead of added", case=OVERLAPPING)  # fmt: skip
def maxpool2d_assigns(grad_output, x, kernel_size, stride=None, padding=0):
    grad_input = np.zeros_like(x)
    for p, q, rows, cols in windows(x, grad_output, kernel_size, stride, padding):
        for n, c in np.ndindex(x.shape[:2]):
            pixels = x[n, c, rows, cols]
            at = np.unravel_index(pixels.argmax(), pixels.shape)
            grad_input[n, c, rows, cols][at] = grad_output[n, c, p, q]
    return grad_input


@wrong("maxpool2d", "row and column of the maximum exchanged",
       "wrong element of the window", case="2")  # fmt: skip
def maxpool2d_exchanged(grad_output, x, kernel_size, stride=None, padding=0):
    grad_input = np.zeros_like(x)
    for p, q, rows, cols in windows(x, grad_output, kernel_size, stride, padding):
        for n, c in np.ndindex(x.shape[:2]):
            row, column = divmod(x[n, c, rows, cols].argmax(), kernel_size)
            grad_input[n, c, rows, cols][column, row] += grad_output[n, c, p, q]
    return grad_input


@wrong("maxpool2d", "gradient spread evenly over the window",
       "every element of the window", case=OVERLAPPING)  # fmt: skip
def maxpool2d_spread(grad_output, x, kernel_size, stride=None, padding=0):
    return avgpool2d_backward(grad_output, x, kernel_size, stride, padding)


@wrong("maxpool2d", "each pixel of the window gets the whole gradient",
       "every element of the window", case=OVERLAPPING)  # fmt: skip
def maxpool2d_whole_window(grad_output, x, kernel_size, stride=None, padding=0):
    grad_input = np.zeros_like(x)
    for p, q, rows, cols in windows(x, grad_output, kernel_size, stride, padding):
        grad_input[:, :, rows, cols] += grad_output[:, :, p, q, None, None]
    return grad_input


@wrong("maxpool2d", "the last row and column of windows forgotten",
       "wrong in the last window", case=OVERLAPPING)  # fmt: skip
def maxpool2d_last_windows(grad_output, x, kernel_size, stride=None, padding=0):
    most = grad_output.copy()
    most[:, :, -1], most[:, :, :, -1] = 0, 0
    return maxpool2d_backward(most, x, kernel_size, stride, padding)


@wrong("maxpool2d", "the stride taken for the size of the window",
       "stride left out", case="stride beyond the window")  # fmt: skip
def maxpool2d_without_stride(grad_output, x, kernel_size, stride=None, padding=0):
    grad_input = np.zeros_like(x)
    for p, q, rows, cols in windows(x, grad_output, kernel_size, None, padding):
        for n, c in np.ndindex(x.shape[:2]):
            pixels = x[n, c, rows, cols]
            at = np.unravel_index(pixels.argmax(), pixels.shape)
            grad_input[n, c, rows, cols][at] += grad_output[n, c, p, q]
    return grad_input


@wrong("maxpool2d", "the maximum multiplied in", "upstream gradient misused", case="2")
def maxpool2d_times_maximum(grad_output, x, kernel_size, stride=None, padding=0):
    return maxpool2d_backward(grad_output, x, kernel_size, stride, padding) * x


@wrong("avgpool2d", "not divided by the size of the window",
       "sum instead of mean", case=OVERLAPPING)  # fmt: skip
def avgpool2d_sum(grad_output, x, kernel_size, stride=None, padding=0):
    grad = avgpool2d_backward(grad_output, x, kernel_size, stride, padding)
    return grad * kernel_size**2


@wrong("avgpool2d", "divided by the side of the window, not by its area",
       "wrong factor", case=OVERLAPPING)  # fmt: skip
def avgpool2d_side(grad_output, x, kernel_size, stride=None, padding=0):
    grad = avgpool2d_backward(grad_output, x, kernel_size, stride, padding)
    return grad * kernel_size


@wrong("avgpool2d", "divided by the pixels that are not padding",
       "divided by the pixels in the image", case=OVERLAPPING)  # fmt: skip
def avgpool2d_pixels(grad_output, x, kernel_size, stride=None, padding=0):
    grad_input = np.zeros_like(x)
    for p, q, rows, cols in windows(x, grad_output, kernel_size, stride, padding):
        count = x[0, 0, rows, cols].size
        grad_input[:, :, rows, cols] += grad_output[:, :, p, q, None, None] / count
    return grad_input


@wrong("avgpool2d", "windows assign their share, not add",
       "overwritten instead of added", case=OVERLAPPING)  # fmt: skip
def avgpool2d_assigns(grad_output, x, kernel_size, stride=None, padding=0):
    grad_input = np.zeros_like(x)
    for p, q, rows, cols in windows(x, grad_output, kernel_size, stride, padding):
        share = grad_output[:, :, p, q, None, None] / kernel_size**2
        grad_input[:, :, rows, cols] = share
    return grad_input


@wrong("avgpool2d", "pixels that no window reaches get the last window's share",
       "wrong in the last window", case=TAIL)  # fmt: skip
def avgpool2d_tail(grad_output, x, kernel_size, stride=None, padding=0):
    H, W = x.shape[2:]
    wide = grad_output.repeat(kernel_size, 2).repeat(kernel_size, 3)
    more = [(0, 0), (0, 0), (0, H - wide.shape[2]), (0, W - wide.shape[3])]
    return np.pad(wide, more, mode="edge") / kernel_size**2


@wrong("global_avgpool2d", "not divided by the number of pixels",
       "sum instead of mean")  # fmt: skip
def global_avgpool2d_sum(grad_output, x):
    return np.ones_like(x) * grad_output


@wrong("global_avgpool2d", "divided by the height only", "wrong factor")
def global_avgpool2d_height(grad_output, x):
    return np.ones_like(x) * grad_output / x.shape[2]


@wrong("global_avgpool2d", "gradient not spread over the pixels",
       "summed over too many axes")  # fmt: skip
def global_avgpool2d_not_spread(grad_output, x):
    return grad_output / (x.shape[2] * x.shape[3])
