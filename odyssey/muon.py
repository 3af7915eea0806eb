"""Muon: momentum whose steps are orthogonal matrices (Jordan et al. 2024).

A kernel (K, C, R, S) is taken as the matrix of its filters, (K, C*R*S).  The momentum
is that of SGD, but the step is the orthogonal matrix nearest to it:

    velocity = momentum * velocity + grad
    update   = grad + momentum * velocity       Nesterov's form; otherwise velocity
    param    = (1 - lr * weight_decay) * param - lr * orthogonalize(update)

Of the update's singular value decomposition U S V^T that keeps U V^T: all directions
learn at one rate, however small their gradients are.  A polynomial that is applied to
the matrix several times does it without a decomposition.  ``docs/derivations/muon.md``
derives both.  Gradients may have any scale, so lr is not that of SGD.

The products have the same bits for any number of threads, see ``kernels/matrix.py``.
"""

from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey import checks
from odyssey.kernels import matrix
from odyssey.optim import global_grad_norm

__all__ = ["muon_update_inplace", "orthogonalize", "scale_to_norm_inplace"]

#: The polynomial a*s + b*s^3 + c*s^5 of a step: it more than triples small singular
#: values, and takes none from [0, 1] beyond 1.21, nor those near 1 below 0.68.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
#: Added to a norm that divides, so that a gradient of zeros gives a step of zeros.
EPSILON = 1e-7


def orthogonalize(x: np.ndarray, steps: int = 5) -> np.ndarray:
    """Move the singular values of a matrix towards 1, by Newton and Schulz's iteration.

    Parameters
    ----------
    x : (K, ...), float32 or float64, two axes or more: a matrix of K rows
    steps : number of times that the polynomial is applied, at least 1

    Returns
    -------
    result : shape and dtype of ``x``, C-contiguous; its singular vectors are those of
        ``x``; after 5 steps the singular values that were at least 0.002 of the
        norm of ``x`` lie between 0.68 and 1.21, and zeros remain zeros

    Raises
    ------
    TypeError
        If ``x`` is not a float32 or float64 array, or ``steps`` not an integer.
    ValueError
        If ``x`` has less than two axes, or ``steps`` is less than 1.

    Notes
    -----
    The result does not depend on the scale of ``x``, unless its norm is near 1e-7 or
    below.  With NaN or Inf in ``x`` it is NaN.
    """
    op = "orthogonalize"
    dtype = checks.check_floating(op, x=x)
    _check_matrix(op, "x", x)
    steps = checks.check_int(op, "steps", steps, 1)
    if x.size == 0:
        return np.zeros(x.shape, dtype)
    y = np.ascontiguousarray(x, dtype).reshape(len(x), -1)
    # no singular value is larger than the norm: after this all are at most 1
    scale = dtype.type(1 / (global_grad_norm(y) + EPSILON))
    is_tall = y.shape[0] > y.shape[1]
    if is_tall:  # the products below are between rows: let there be few of them
        y = y.T
    with np.errstate(invalid="ignore"):  # Inf by a scale of 0: NaN tells of it
        y = np.multiply(y, scale, order="C")  # (rows, columns)
    a, b, c = map(dtype.type, COEFFICIENTS)
    rows = len(y)
    (gram, square), moved = np.empty((2, rows, rows), dtype), np.empty_like(y)
    for _ in range(steps):
        matrix.products_of_rows(y, gram)  # y @ y.T
        matrix.products_of_rows(gram, square)  # gram @ gram, as gram is symmetric
        factor = b * gram + c * square
        factor.flat[:: rows + 1] += a  # on the diagonal
        matrix.product(factor, y, moved)  # (a + b*gram + c*gram@gram) @ y
        y, moved = moved, y
    return np.ascontiguousarray(y.T if is_tall else y).reshape(x.shape)


def muon_update_inplace(
    param: np.ndarray,
    grad: np.ndarray,
    velocity: np.ndarray,
    lr: float,
    momentum: float = 0.95,
    *,
    weight_decay: float = 0.0,
    nesterov: bool = True,
    steps: int = 5,
) -> None:
    """Move ``param`` one orthogonal step, and update ``velocity``, both in place.

    Parameters
    ----------
    param : (K, ...), float32 or float64, two axes or more, any strides, writeable
    grad : shape and dtype of ``param``; only read
    velocity : shape and dtype of ``param``, writeable; zeros before the first step
    lr : learning rate, not negative, finite in the dtype of the arrays; also about the
        spectral norm of the step
    momentum : share of the velocity kept, in [0, 1)
    weight_decay : share of ``param``, times lr, that is taken off; range of lr
    nesterov : use Nesterov's form of the step
    steps : those of ``orthogonalize``

    Raises
    ------
    TypeError
        If an array is not float32 or float64, the dtypes differ, a scalar is not a
        number, or ``steps`` is not an integer.
    ValueError
        If shapes differ or have less than two axes, scalars are out of range or not
        finite, ``param`` or ``velocity`` is read-only or repeats elements in memory, or
        two arrays overlap.  Nothing has been written then.

    Notes
    -----
    Scalars are rounded to the dtype of the arrays.  NaN and Inf in ``grad`` reach
    ``param``: see ``global_grad_norm`` for a check beforehand.  PyTorch's
    ``torch.optim.Muon`` takes matrices only, computes the iteration in bfloat16, and
    multiplies lr by sqrt(max(1, rows / columns)) unless told otherwise.
    """
    op = "muon_update_inplace"
    dtype = checks.check_floating(op, param=param, grad=grad, velocity=velocity)
    _check_matrix(op, "param", param)
    checks.check_shape(op, "grad", grad, param.shape, "as param")
    checks.check_shape(op, "velocity", velocity, param.shape, "as param")
    largest = float(np.finfo(dtype).max)
    lr = checks.check_number(op, "lr", lr, 0.0, largest)
    momentum = checks.check_number(op, "momentum", momentum, 0.0, 1.0, high_open=True)
    weight_decay = checks.check_number(op, "weight_decay", weight_decay, 0.0, largest)
    steps = checks.check_int(op, "steps", steps, 1)
    checks.check_writeable(op, "param", param)
    checks.check_writeable(op, "velocity", velocity)
    checks.check_separate(op, {"param": param, "grad": grad, "velocity": velocity})

    share = dtype.type(momentum)
    velocity *= share
    velocity += grad
    update = grad + share * velocity if nesterov else velocity
    if weight_decay:
        param *= dtype.type(1 - lr * weight_decay)
    param -= dtype.type(lr) * orthogonalize(update, steps)


def scale_to_norm_inplace(param: np.ndarray, norm: float) -> None:
    """Scale ``param`` in place so that its 2-norm is ``norm``.

    Parameters
    ----------
    param : float32 or float64, any shape and strides, writeable
    norm : the new square root of the sum of squares, not negative

    Raises
    ------
    TypeError
        If ``param`` is not a float32 or float64 array, or ``norm`` is not a number.
    ValueError
        If ``norm`` is out of range or not finite in the dtype of ``param``, or
        ``param`` is read-only or repeats elements in memory.  Nothing has been written
        then.

    Notes
    -----
    Where batch norm follows a convolution, the scale of the kernel does not matter to
    the result, only to how far a step of a given length turns it.  A kernel of K
    filters that is scaled to sqrt(K) before each step of Muon, whose norm is about
    lr * sqrt(K), turns by about lr.  Zeros remain zeros; with NaN or Inf nothing is
    changed.
    """
    op = "scale_to_norm_inplace"
    dtype = checks.check_floating(op, param=param)
    norm = checks.check_number(op, "norm", norm, 0.0, float(np.finfo(dtype).max))
    checks.check_writeable(op, "param", param)
    now = global_grad_norm(np.ascontiguousarray(param))
    if 0 < now < np.inf:
        # in float64, as the quotient may be beyond the range of float32
        np.multiply(param, norm / now, out=param, dtype="f8", casting="same_kind")


def _check_matrix(op: str, name: str, array: np.ndarray) -> None:
    if array.ndim < 2:
        raise ValueError(
            f"{op}: {name} must have two axes or more, got shape {array.shape}"
        )


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that together use every kernel of this module."""
    return [partial(orthogonalize, np.ones((2, 3), dtype), 1)]
