"""Numerical checks of hand-written gradients.

A backward is right if it agrees with a measurement: how much the result changes when
an argument changes a little.  There are two measurements, both by central differences
and both with a random upstream gradient u:

    per element   grad[i] = <u, f(x + eps e_i) - f(x - eps e_i)> / (2 eps)
    projection    <v, vjp(u)> = <u, jvp(v)> for a random direction v, where
                  vjp(u) is the backward's gradient and
                  jvp(v) = (f(x + eps v) - f(x - eps v)) / (2 eps)

The first says where an error is; the second sees all elements at once in two calls.

Why random: with an upstream gradient of ones the gradient of softmax or batch norm is
zero, because their outputs have a constant sum; half-finished backwards would pass.
Why float64: in float32 a difference over 1e-5 keeps two digits at best.  Keep the
inputs some eps away from kinks (relu at 0, ties of a maximum), where no derivative
exists.

``import odyssey`` loads this module.  It must be quick, so NumPy is imported by the
check itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

#: Seed of the generator where none is given.  Not 0, with which many draw their inputs:
#: an upstream gradient equal to x tests as little of batch norm as one of ones does.
_SEED = 7_321_508


def gradcheck(
    forward: Callable[..., np.ndarray | float],
    backward: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    wrt: int | Sequence[int] | None = None,
    eps: float = 1e-5,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    samples: int | None = None,
    rng: np.random.Generator | None = None,
    diagnose: bool = False,
) -> float:
    """Compare a hand-written backward with central differences of its forward.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs)`` gives one float64 array, or a float.
    backward : callable
        ``backward(grad_output, *inputs)`` gives the gradients in the order of the
        inputs, None where there is none.  Missing ones at the end count as None;
        additional ones are ignored.  A bare array is the gradient of the first input
        in ``wrt``.
    inputs : sequence
        Arguments of forward.  Floating arrays must be float64; the rest (labels,
        sizes) may be anything.
    wrt : int or sequence of int, optional
        Positions of the inputs to check, each of which must have a gradient; by
        default all float64 arrays that have one.
    eps : float
        Step of the differences.
    rtol, atol : float
        Tolerances, see Notes.
    samples : int, optional
        Number of random elements of each input to check, instead of all.
    rng : numpy.random.Generator, optional
        Source of upstream gradient, directions and samples; if None, a generator with
        a seed of its own, the same for each call.
    diagnose : bool
        Say in the error of a wrong gradient what may be wrong with it: the sign, a
        factor, an axis, a path that is left out, ...  The error begins as it does
        without, and has an attribute ``diagnosis``, a list of
        `odyssey.diagnosis.Diagnosis`.  Forward and backward are called more often,
        with other arguments too; a right gradient costs nothing.

    Returns
    -------
    float
        The worst relative error found, at most ``rtol``.

    Raises
    ------
    AssertionError
        If a gradient is wrong, not finite, missing, or of another shape or dtype than
        its input, or if forward or backward writes to an argument.
    TypeError, ValueError
        If an argument is invalid, such as a float32 input, or if nothing can be
        measured: a step is lost in the rounding of an input or of the result.

    Notes
    -----
    The backward's a and the measured n agree if ``|a - n| <= atol + rtol*scale``.
    The relative error is ``|a - n| / (scale + atol/rtol)``.  ``scale`` is the larger of
    |a| and |n|, but at least 1/100 of the gradient's typical size (its rms; in the
    projection its norm): a far smaller element is a difference of large terms and
    cannot be measured better than they are.  An error of 0.1 % is found in every
    element down to 1e-5 of the rms.

    ``atol`` is for gradients that are zero up to rounding.  It is reduced to 1e-6 of
    the typical size, so that errors of small gradients count too, but not below the
    error that rounding of the forward's result causes in the difference.
    """
    import numpy as np

    from odyssey import central_differences as central
    from odyssey.checks import check_int, check_number

    check_number("gradcheck", "eps", eps, 0, low_open=True)
    check_number("gradcheck", "rtol", rtol, 0, low_open=True)
    check_number("gradcheck", "atol", atol, 0)
    if samples is not None:
        check_int("gradcheck", "samples", samples, 1)
    positions = central.positions_to_check(inputs, wrt)
    rng = np.random.default_rng(_SEED if rng is None else rng)
    grad_output: np.ndarray | None = None
    try:
        result = central.call_on_copies("forward", forward, inputs)
        out = central.as_float64(result)
        grad_output = rng.standard_normal(out.shape)
        upstream = grad_output if isinstance(result, np.ndarray) else float(grad_output)
        grads = central.call_on_copies("backward", backward, [upstream, *inputs])
        grads = central.checked_gradients(
            grads, inputs, positions, needed=wrt is not None
        )
        size = float(np.linalg.norm(grad_output * out))
        rounding = 100 * float(np.finfo(np.float64).eps) * size / eps

        worst = 0.0
        for position, grad in grads.items():
            central.refuse_lost_steps(position, inputs[position], eps)
            for name, step, typical in central.steps(grad, eps, samples, rng):
                change, moved = central.change(forward, inputs, position, step)
                numeric = float(np.vdot(grad_output, change)) / (2 * eps)
                analytic = float(np.vdot(grad, moved)) / (2 * eps)
                floor = min(atol, max(1e-6 * typical, rounding))
                scale = max(abs(analytic), abs(numeric), 0.01 * typical)
                error = abs(analytic - numeric)
                error = error and error / (scale + floor / rtol)
                if not (np.isfinite(numeric) and error <= rtol):
                    raise AssertionError(
                        f"gradcheck: input {position}, {name}: the backward gives "
                        f"{analytic:.8g}, central differences give {numeric:.8g} "
                        f"(relative error {error:.2g}, allowed {rtol:.2g})"
                    )
                worst = max(worst, error)
            central.refuse_lost_changes(position, grad, out, rounding / 100)
        return worst
    except AssertionError as error:
        if not diagnose or not str(error).startswith("gradcheck: "):
            raise  # as it is, or one of the caller's own functions
        from odyssey.diagnosis import diagnosed

        raise diagnosed(
            error, forward, backward, inputs, positions, grad_output, eps, atol
        ) from None
