"""Stochastic gradient descent with momentum, and the norm of the gradients.

The velocity follows PyTorch's convention: the learning rate is not part of it.

    g        = grad + weight_decay * param
    velocity = momentum * velocity + g
    param    = param - lr * velocity                    plain (Polyak 1964)
    param    = param - lr * (g + momentum * velocity)   Nesterov's look-ahead

In the other common form the velocity sums -lr * g.  Both agree while lr is constant;
after a drop of lr the other form still moves at the old rate for some steps.  Sutskever
et al. 2013, "On the importance of initialization and momentum in deep learning".

These functions write to the caller's memory, so all checks come before the first write.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from odyssey import checks, layout
from odyssey.kernels import update

__all__ = ["clip_grad_norm_inplace", "global_grad_norm", "sgd_momentum_update_inplace"]

Gradients = Mapping[str, np.ndarray] | Iterable[np.ndarray]


def sgd_momentum_update_inplace(
    param: np.ndarray,
    grad: np.ndarray,
    velocity: np.ndarray,
    lr: float,
    momentum: float = 0.9,
    *,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Move ``param`` one step against ``grad``, and update ``velocity``, both in place.

    Parameters
    ----------
    param : float32 or float64, any shape and strides, writeable
    grad : shape and dtype of ``param``; only read
    velocity : shape and dtype of ``param``, writeable; zeros before the first step
    lr : learning rate, not negative, finite in the dtype of the arrays
    momentum : share of the velocity kept, in [0, 1)
    weight_decay : strength of the L2 penalty 1/2 * weight_decay * param^2; range of lr
    nesterov : use Nesterov's form of the step

    Raises
    ------
    TypeError
        If an array is not float32 or float64, the dtypes differ, or a scalar is not a
        number.
    ValueError
        If shapes differ, scalars are out of range or not finite, ``param`` or
        ``velocity`` is read-only or repeats elements in memory, or two arrays overlap.
        Nothing has been written then.

    Notes
    -----
    Scalars are rounded to the dtype of the arrays.  NaN and Inf in ``grad`` reach
    ``param``: see ``global_grad_norm`` for a check beforehand.
    """
    op = "sgd_momentum_update_inplace"
    dtype = checks.check_floating(op, param=param, grad=grad, velocity=velocity)
    checks.check_shape(op, "grad", grad, param.shape, "as param")
    checks.check_shape(op, "velocity", velocity, param.shape, "as param")
    largest = float(np.finfo(dtype).max)  # above it scalars would be Inf in the kernel
    lr = checks.check_number(op, "lr", lr, 0.0, largest)
    momentum = checks.check_number(op, "momentum", momentum, 0.0, 1.0, high_open=True)
    weight_decay = checks.check_number(op, "weight_decay", weight_decay, 0.0, largest)
    checks.check_writeable(op, "param", param)
    checks.check_writeable(op, "velocity", velocity)
    checks.check_separate(op, {"param": param, "grad": grad, "velocity": velocity})

    # flat views of the caller's memory where it is one block, else copies to write back
    order = layout.memory_order(param)
    flat_param = layout.flatten(param, order)
    flat_velocity = layout.flatten(velocity, order)
    update.sgd_momentum(
        flat_param,
        layout.flatten(grad, order),
        flat_velocity,
        dtype.type(lr),
        dtype.type(momentum),
        dtype.type(weight_decay),
        bool(nesterov),
    )
    for array, flat in ((param, flat_param), (velocity, flat_velocity)):
        if not np.may_share_memory(array, flat):
            in_order = array.transpose(order)
            in_order[...] = flat.reshape(in_order.shape)


def _name_gradients(op: str, grads: Gradients) -> dict[str, np.ndarray]:
    """Return the gradients, all of one floating dtype, by a name for messages."""
    if isinstance(grads, np.ndarray):
        grads = [grads]
    pairs = grads.items() if isinstance(grads, Mapping) else enumerate(grads)
    named = {f"grads[{key!r}]": grad for key, grad in pairs}
    if named:
        checks.check_floating(op, **named)
    return named


def _norm(grads: Iterable[np.ndarray]) -> float:
    """Return the square root of the sum of all squares."""
    total = 0.0
    for grad in grads:
        flat = layout.flatten(grad, layout.memory_order(grad))
        partial = np.empty(-(-flat.size // update.PART_SIZE), np.float64)
        update.sum_of_squares(flat, update.PART_SIZE, partial)
        total += float(partial.sum())
    return math.sqrt(total)


def global_grad_norm(grads: Gradients) -> float:
    """Return the 2-norm of all gradients taken as one vector.

    Parameters
    ----------
    grads : arrays of one dtype, float32 or float64, in a mapping or an iterable

    Returns
    -------
    norm : sqrt of the sum of squares of all elements, summed in float64, with the same
        bits for any number of threads; NaN or Inf exactly if an element is (or float64
        squares overflow), so this one pass shows whether a step is safe

    Raises
    ------
    TypeError
        If a gradient is not a float32 or float64 array, or the dtypes differ.
    """
    return _norm(_name_gradients("global_grad_norm", grads).values())


def clip_grad_norm_inplace(grads: Gradients, max_norm: float) -> float:
    """Scale all gradients in place by one factor, so that their norm is ``max_norm``.

    Parameters
    ----------
    grads : as in ``global_grad_norm``, writeable
    max_norm : the greatest norm allowed, above 0; with inf nothing is scaled

    Returns
    -------
    norm : the 2-norm before clipping, as of ``global_grad_norm``

    Raises
    ------
    TypeError
        As ``global_grad_norm``, and if ``max_norm`` is not a number.
    ValueError
        If ``max_norm`` is not above 0, or if a gradient is read-only,
        repeats elements in memory or overlaps another.  Nothing has been written then.

    Notes
    -----
    Gradients with a norm up to ``max_norm`` are unchanged; others are multiplied by
    max_norm / (norm + 1e-6), as in PyTorch, which leaves room for rounding.  Gradients
    whose norm is not finite are unchanged too, as no factor would help; the returned
    norm shows it.  Pascanu et al. 2013, arXiv:1211.5063.
    """
    op = "clip_grad_norm_inplace"
    named = _name_gradients(op, grads)
    max_norm = checks.check_number(
        op, "max_norm", max_norm, 0.0, low_open=True, finite=False
    )
    for name, grad in named.items():
        checks.check_writeable(op, name, grad)
    checks.check_separate(op, named)
    norm = _norm(named.values())
    if math.isfinite(norm) and norm > max_norm:
        for grad in named.values():
            grad *= grad.dtype.type(max_norm / (norm + 1e-6))
    return norm


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that together use every kernel of this module."""
    x = np.ones((2, 3), dtype)
    return [
        partial(sgd_momentum_update_inplace, x.copy(), x, x.copy(), 0.1),
        partial(clip_grad_norm_inplace, [x.copy()], 1.0),
    ]
