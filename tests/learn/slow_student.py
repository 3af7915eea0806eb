"""Right functions as a student may write them first: all in loops over elements."""

CONV2D = """
import numpy as np


def conv2d(x, kernel, bias=None, stride=1, padding=0):
    N, C, H, W = x.shape
    K, _, R, S = kernel.shape
    x_pad = np.zeros((N, C, H + 2 * padding, W + 2 * padding), x.dtype)
    x_pad[:, :, padding : padding + H, padding : padding + W] = x
    P = (H + 2 * padding - R) // stride + 1
    Q = (W + 2 * padding - S) // stride + 1
    out = np.zeros((N, K, P, Q), x.dtype)
    for n in range(N):
        for k in range(K):
            for p in range(P):
                for q in range(Q):
                    if bias is not None:
                        out[n, k, p, q] = bias[k]
                    for c in range(C):
                        for r in range(R):
                            for s in range(S):
                                out[n, k, p, q] += (
                                    x_pad[n, c, p * stride + r, q * stride + s]
                                    * kernel[k, c, r, s]
                                )
    return out
"""
CONV2D_GRAD_KERNEL = """
import numpy as np


def conv2d_grad_kernel(grad_output, x, kernel, stride=1, padding=0):
    N, C, H, W = x.shape
    K, _, R, S = kernel.shape
    P, Q = grad_output.shape[2:]
    x_pad = np.zeros((N, C, H + 2 * padding, W + 2 * padding), x.dtype)
    x_pad[:, :, padding : padding + H, padding : padding + W] = x
    grad_kernel = np.zeros_like(kernel)
    grad_bias = np.zeros(K, x.dtype)
    for n in range(N):
        for k in range(K):
            for p in range(P):
                for q in range(Q):
                    grad_bias[k] += grad_output[n, k, p, q]
                    for c in range(C):
                        for r in range(R):
                            for s in range(S):
                                grad_kernel[k, c, r, s] += (
                                    x_pad[n, c, p * stride + r, q * stride + s]
                                    * grad_output[n, k, p, q]
                                )
    return grad_kernel, grad_bias
"""
CONV2D_GRAD_INPUT = """
import numpy as np


def conv2d_grad_input(grad_output, x, kernel, stride=1, padding=0):
    N, C, H, W = x.shape
    K, _, R, S = kernel.shape
    P, Q = grad_output.shape[2:]
    grad_pad = np.zeros((N, C, H + 2 * padding, W + 2 * padding), x.dtype)
    for n in range(N):
        for k in range(K):
            for p in range(P):
                for q in range(Q):
                    for c in range(C):
                        for r in range(R):
                            for s in range(S):
                                grad_pad[n, c, p * stride + r, q * stride + s] += (
                                    kernel[k, c, r, s] * grad_output[n, k, p, q]
                                )
    return grad_pad[:, :, padding : padding + H, padding : padding + W]
"""
