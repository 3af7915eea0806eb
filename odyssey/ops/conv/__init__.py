"""Convolution: the operation, in `convolution.py`, and four methods of summing.

    convolution.py       conv2d and its backward: derivation, checks, choice of a method
    direct.py            any kernel and stride
    winograd.py          3x3, stride 1
    winograd_strided.py  3x3, stride 2, padding 1
    winograd_domain.py   what these two have in common: buffers, tiles, their kernels
    tiles.py             bfloat16, on processors with tile registers (AMX)
    prepared.py          a kernel for many convolutions, laid out once
    algorithm.py         the signatures of the four, for type checkers

The methods have the same signature for each of the three sums, so that they can
replace each other.  Arrays are C-contiguous with the channels last; kernels are
(K, C, R, S):

    forward(x, kernel, bias, addend, relu, stride, padding, out, *, made=None)
    grad_input(grad_output, kernel, addend, stride, padding, out)
    grad_kernel(grad_output, x, stride, padding, out)

Each fills ``out`` and returns whether it succeeded.  Winograd's method fails if a
result is not finite; then the direct method is used.  An ``addend`` without images
means that there is none.  ``made`` keeps what is made of a `PreparedKernel`.  With
Winograd's methods the forward can also fill ``moments``, from which the statistics for
batch norm follow.
"""

from odyssey.ops.conv.convolution import conv2d as conv2d
from odyssey.ops.conv.convolution import conv2d_backward as conv2d_backward
from odyssey.ops.conv.prepared import PreparedKernel as PreparedKernel
