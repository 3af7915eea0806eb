"""Convolution: `convolution.py` has the operation, beside it three ways of summing.

    convolution.py       conv2d and its backward: derivation, checks, choice of a way
    direct.py            any kernel and stride
    winograd.py          3x3, stride 1
    winograd_strided.py  3x3, stride 2, padding 1
    winograd_domain.py   what these two have in common: buffers, tiles, their kernels
    algorithm.py         the signatures of the three, for type checkers

The ways have one signature for each of the three products, so that they can take each
other's place.  Arrays are C-contiguous with the channels last, kernels (K, C, R, S):

    forward(x, kernel, bias, addend, relu, stride, padding, out)
    grad_input(grad_output, kernel, addend, stride, padding, out)
    grad_kernel(grad_output, x, stride, padding, out)

Each fills ``out`` and tells whether it succeeded.  Winograd's way does not where a
result is not finite; then the direct way takes over.  An ``addend`` of no images means
that there is none.
"""

from odyssey.ops.conv.convolution import conv2d as conv2d
from odyssey.ops.conv.convolution import conv2d_backward as conv2d_backward
