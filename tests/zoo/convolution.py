"""Wrong backwards of conv2d."""

import numpy as np

from odyssey.op_specs import Case
from odyssey.reference import conv2d_backward
from zoo.wrong import wrong

#: Three images: a batch of two could not tell a mean over it from a factor of 2.
PADDED = Case("3x3", ((3, 2, 6, 5), (4, 2, 3, 3), (4,)), {"padding": 1})
STRIDED = Case("stride 2", ((3, 2, 7, 8), (4, 2, 3, 3), (4,)), {"stride": 2})
SQUARE = Case("as many channels", ((3, 4, 5, 6), (4, 4, 3, 3), (4,)), {"padding": 1})


def padded(x, padding):
    return np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])


@wrong("conv2d", "kernel slid over the upstream gradient unturned",
       "kernel not turned", case=PADDED)  # fmt: skip
def conv2d_kernel_not_turned(grad_output, x, kernel, stride=1, padding=0):
    _, grad_kernel, grad_bias = conv2d_backward(grad_output, x, kernel, stride, padding)
    (N, C, H, W), (K, _, R, S) = x.shape, kernel.shape
    P, Q = grad_output.shape[2:]
    wide = np.zeros((N, K, H + 2 * padding + R - 1, W + 2 * padding + S - 1))
    wide[:, :, R - 1 : R - 1 + P, S - 1 : S - 1 + Q] = grad_output
    grad_input = np.zeros((N, C, H + 2 * padding, W + 2 * padding))
    for i, j in np.ndindex(grad_input.shape[2:]):
        window = wide[:, :, i : i + R, j : j + S]
        grad_input[:, :, i, j] = np.einsum("nkrs,kcrs->nc", window, kernel)
    grad_input = grad_input[:, :, padding : padding + H, padding : padding + W]
    return grad_input, grad_kernel, grad_bias


@wrong("conv2d", "gradient of the kernel turned by 180 degrees",
       "axes flipped", input=1, case=PADDED)  # fmt: skip
def conv2d_grad_kernel_turned(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return grads[0], grads[1][:, :, ::-1, ::-1].copy(), grads[2]


@wrong("conv2d", "gradient of the kernel with rows and columns exchanged",
       "axes transposed", input=1, case=PADDED)  # fmt: skip
def conv2d_grad_kernel_transposed(grad_output, x, kernel, stride=1, padding=0):
    P, Q = grad_output.shape[2:]
    x_pad, grad_kernel = padded(x, padding), np.zeros_like(kernel)
    for r, s in np.ndindex(kernel.shape[2:]):
        taps = x_pad[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        grad_kernel[:, :, s, r] = np.einsum("nkpq,ncpq->kc", grad_output, taps)
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return grads[0], grad_kernel, grads[2]


@wrong("conv2d", "gradient of the kernel averaged over the batch",
       "mean instead of sum", input=1, case=PADDED)  # fmt: skip
def conv2d_grad_kernel_mean(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return grads[0], grads[1] / len(x), grads[2]


@wrong("conv2d", "gradient of the kernel of the last image only",
       "only a part of the batch", input=1, case=PADDED)  # fmt: skip
def conv2d_last_image_only(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    for n in range(len(x)):
        one = slice(n, n + 1)
        grad_kernel = conv2d_backward(
            grad_output[one], x[one], kernel, stride, padding
        )[1]
    return grads[0], grad_kernel, grads[2]


@wrong("conv2d", "stride left out in the gradient of the kernel",
       "stride left out", input=1, case=STRIDED)  # fmt: skip
def conv2d_grad_kernel_without_stride(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    P, Q = grad_output.shape[2:]
    x_pad, grad_kernel = padded(x, padding), np.zeros_like(kernel)
    for r, s in np.ndindex(kernel.shape[2:]):
        taps = x_pad[:, :, r : r + P, s : s + Q]
        grad_kernel[:, :, r, s] = np.einsum("nkpq,ncpq->kc", grad_output, taps)
    return grads[0], grad_kernel, grads[2]


@wrong("conv2d", "stride left out in the gradient of the input",
       "stride left out", case=STRIDED)  # fmt: skip
def conv2d_grad_input_without_stride(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    P, Q = grad_output.shape[2:]
    grad_pad = np.zeros_like(padded(x, padding))
    for r, s in np.ndindex(kernel.shape[2:]):
        taps = np.s_[:, :, r : r + P, s : s + Q]
        tap = np.einsum("nkpq,kc->ncpq", grad_output, kernel[:, :, r, s])
        grad_pad[taps] += tap
    H, W = x.shape[2:]
    return grad_pad[:, :, padding : padding + H, padding : padding + W], *grads[1:]


@wrong("conv2d", "taps assign to the gradient of the input, not add",
       "overwritten instead of added", case=PADDED)  # fmt: skip
def conv2d_taps_assign(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    P, Q = grad_output.shape[2:]
    grad_pad = np.zeros_like(padded(x, padding))
    for r, s in np.ndindex(kernel.shape[2:]):
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        tap = np.einsum("nkpq,kc->ncpq", grad_output, kernel[:, :, r, s])
        grad_pad[taps] = tap
    H, W = x.shape[2:]
    return grad_pad[:, :, padding : padding + H, padding : padding + W], *grads[1:]


@wrong("conv2d", "padding cut off at the end only",
       "padding cut off wrongly", case=PADDED)  # fmt: skip
def conv2d_padding_cut_at_the_end(grad_output, x, kernel, stride=1, padding=0):
    wide = padded(x, padding)
    grads = conv2d_backward(grad_output, wide, kernel, stride)
    return grads[0][:, :, : x.shape[2], : x.shape[3]], *grads[1:]


@wrong("conv2d", "padding of the gradient not cut off",
       "padding cut off wrongly", case=PADDED)  # fmt: skip
def conv2d_padding_kept(grad_output, x, kernel, stride=1, padding=0):
    return conv2d_backward(grad_output, padded(x, padding), kernel, stride)


@wrong("conv2d", "last row and column of the result forgotten in a loop",
       "wrong in the last window", input=1, case=PADDED)  # fmt: skip
def conv2d_last_row_forgotten(grad_output, x, kernel, stride=1, padding=0):
    P, Q = grad_output.shape[2:]
    R, S = kernel.shape[2:]
    x_pad, grad_kernel = padded(x, padding), np.zeros_like(kernel)
    for p, q in np.ndindex(P - 1, Q - 1):
        i, j = p * stride, q * stride
        window = x_pad[:, :, i : i + R, j : j + S]
        grad_kernel += np.einsum("nk,ncrs->kcrs", grad_output[:, :, p, q], window)
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return grads[0], grad_kernel, grads[2]


@wrong("conv2d", "gradient of the input zero where the kernel hangs over the border",
       "wrong at the border", case=PADDED)  # fmt: skip
def conv2d_border_zero(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    grad_input = np.zeros_like(x)
    inner = np.s_[:, :, padding:-padding, padding:-padding]
    grad_input[inner] = grads[0][inner]
    return grad_input, *grads[1:]


@wrong("conv2d", "taps two apart only: odd pixels of stride 2 get nothing",
       "wrong at a phase of the stride", case=STRIDED)  # fmt: skip
def conv2d_middle_tap_left_out(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    P, Q = grad_output.shape[2:]
    grad_pad = np.zeros_like(padded(x, padding))
    for r, s in np.ndindex(kernel.shape[2:]):
        if r % stride and s % stride:
            continue
        taps = np.s_[:, :, r : r + P * stride : stride, s : s + Q * stride : stride]
        tap = np.einsum("nkpq,kc->ncpq", grad_output, kernel[:, :, r, s])
        grad_pad[taps] += tap
    H, W = x.shape[2:]
    return grad_pad[:, :, padding : padding + H, padding : padding + W], *grads[1:]


@wrong("conv2d", "bias summed over the batch only",
       "summed over too few axes", input=2, case=PADDED)  # fmt: skip
def conv2d_bias_over_the_batch_only(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return *grads[:2], grad_output.sum(axis=0)


@wrong("conv2d", "bias averaged over batch and pixels",
       "mean instead of sum", input=2, case=PADDED)  # fmt: skip
def conv2d_bias_averaged(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return *grads[:2], grad_output.mean(axis=(0, 2, 3))


@wrong("conv2d", "channels of kernel exchanged, for as many in as out",
       "argument transposed", case=SQUARE)  # fmt: skip
def conv2d_channels_exchanged(grad_output, x, kernel, stride=1, padding=0):
    swapped = kernel.transpose(1, 0, 2, 3)
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return conv2d_backward(grad_output, x, swapped, stride, padding)[0], *grads[1:]


@wrong("conv2d", "gradients of kernel and input given in the other order",
       "gradients in the wrong order", case=PADDED)  # fmt: skip
def conv2d_wrong_order(grad_output, x, kernel, stride=1, padding=0):
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return grads[1], grads[0], grads[2]


@wrong("conv2d", "kernel unturned, and its gradients have the sign turned round",
       "kernel not turned", "wrong sign", case=PADDED)  # fmt: skip
def conv2d_two_faults(grad_output, x, kernel, stride=1, padding=0):
    turned = kernel[:, :, ::-1, ::-1]
    grads = conv2d_backward(grad_output, x, kernel, stride, padding)
    return -conv2d_backward(grad_output, x, turned, stride, padding)[0], *grads[1:]
