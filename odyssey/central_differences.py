"""The measurements of `odyssey.gradcheck` by central differences, and its checks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from odyssey.bfloat16 import is_inexact
from odyssey.checks import check_array, check_int


def positions_to_check(
    inputs: Sequence[Any], wrt: int | Sequence[int] | None
) -> list[int]:
    """Check ``inputs`` and ``wrt``; return the positions to check."""
    if not isinstance(inputs, (tuple, list)):
        raise TypeError(
            f"gradcheck: inputs must be a tuple or list, got {type(inputs).__name__}"
        )
    floats = []
    for i, x in enumerate(inputs):
        if isinstance(x, np.ndarray) and is_inexact(x.dtype):
            check_array("gradcheck", f"input {i}", x)
            if x.dtype.newbyteorder("=") != np.float64:
                raise TypeError(f"gradcheck: input {i} must be float64, got {x.dtype}")
            floats.append(i)
    if wrt is None:
        wrt = floats
    positions = [check_int("gradcheck", "wrt", i, 0) for i in np.atleast_1d(wrt)]
    if not positions or max(positions) >= len(inputs):
        raise ValueError(
            f"gradcheck: wrt must name one or more of the {len(inputs)} inputs, "
            f"got {positions}"
        )
    for i in positions:
        if i not in floats:
            raise TypeError(
                f"gradcheck: input {i} must be a float64 array to be checked, got "
                f"{getattr(inputs[i], 'dtype', type(inputs[i]).__name__)}"
            )
    return positions


def call_on_copies(
    name: str, function: Callable[..., Any], arguments: Sequence[Any]
) -> Any:
    """Call ``function`` on copies of the arguments, which it must leave unchanged."""
    copies = [np.array(x) if isinstance(x, np.ndarray) else x for x in arguments]
    result = function(*copies)
    for i, (x, after) in enumerate(zip(arguments, copies, strict=True)):
        if isinstance(x, np.ndarray) and x.tobytes() != after.tobytes():
            raise AssertionError(f"gradcheck: {name} changed its argument {i}")
    return result


def as_float64(result: Any) -> np.ndarray:
    """Return a copy of the forward's result as a float64 array."""
    if not isinstance(result, (np.ndarray, float)):
        raise TypeError(
            "gradcheck: forward must give one array or a float, got "
            f"{type(result).__name__}; pick one: lambda *inputs: forward(*inputs)[0]"
        )
    out = np.array(result)
    if out.dtype != np.float64:
        raise AssertionError(f"gradcheck: forward made {out.dtype} from float64")
    return out


def checked_gradients(
    grads: Any, inputs: Sequence[Any], positions: list[int], *, needed: bool
) -> dict[int, np.ndarray]:
    """Check the backward's gradients; return copies by position.

    A position without a gradient is an error if ``needed``, otherwise it is left out.
    """
    if not isinstance(grads, (tuple, list)):
        grads = [None] * positions[0] + [grads]
    grads = dict(enumerate(grads))
    if not needed:
        positions = [i for i in positions if grads.get(i) is not None]
    if not positions:
        raise AssertionError(
            "gradcheck: the backward gives no gradient of any float64 input, "
            "there is nothing to check"
        )
    checked = {}
    for i in positions:
        grad, x = grads.get(i), inputs[i]
        if not isinstance(grad, (np.ndarray, np.float64)):
            got = type(grad).__name__
        elif grad.shape != x.shape or grad.dtype != np.float64:
            got = f"{grad.dtype} of shape {grad.shape}"
        elif not np.isfinite(grad).all():
            element = tuple(int(k) for k in np.argwhere(~np.isfinite(grad))[0])
            got = f"{np.asarray(grad)[element]} in element {element}"
        else:
            checked[i] = np.array(grad)
            continue
        raise AssertionError(
            f"gradcheck: input {i} needs a finite float64 gradient of shape "
            f"{x.shape}, the backward gives {got}"
        )
    return checked


def refuse_lost_steps(position: int, x: np.ndarray, eps: float) -> None:
    """Raise if rounding swallows a step of ``eps`` from some element of ``x``."""
    with np.errstate(over="ignore", invalid="ignore"):
        moved = (x + eps) - (x - eps)
        lost = np.isfinite(x) & ~(np.abs(moved - 2 * eps) <= 0.1 * (2 * eps))
    if lost.any():
        element = tuple(int(k) for k in np.argwhere(lost)[0])
        raise ValueError(
            f"gradcheck: input {position}, element {element}: a step of eps={eps:g} is "
            f"lost in the rounding of {x[element]:g}; take smaller inputs or a "
            "larger eps"
        )


def refuse_lost_changes(
    position: int, grad: np.ndarray, out: np.ndarray, noise: float
) -> None:
    """Raise if the gradient is too small to be measured beside a large result.

    ``noise`` is the error of a measurement that comes from rounding the result.
    """
    typical = float(np.linalg.norm(grad)) / max(1, grad.size) ** 0.5
    if np.isfinite(noise) and noise > max(0.1 * typical, 1e-6):
        raise ValueError(
            f"gradcheck: the effect of input {position} is lost in the rounding of the "
            f"result, which is up to {np.abs(out).max():g}; take smaller inputs or a "
            "larger eps"
        )


def steps(
    grad: np.ndarray, eps: float, samples: int | None, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield the steps to measure: each element (or random samples), then a random one.

    Each item is a name, the step and the typical size of <grad, step> / eps.
    """
    norm = float(np.linalg.norm(grad))
    chosen = np.arange(grad.size)
    if samples is not None and samples < grad.size:
        chosen = rng.choice(grad.size, samples, replace=False)
    for flat_index in chosen:
        index = tuple(int(k) for k in np.unravel_index(flat_index, grad.shape))
        step = np.zeros(grad.shape)
        step[index] = eps
        yield f"element {index}", step, norm / grad.size**0.5
    yield "random projection", eps * rng.standard_normal(grad.shape), norm


def change(
    forward: Callable[..., Any], inputs: Sequence[Any], position: int, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return f(x + step) - f(x - step), and the difference of both x.

    The latter is not quite ``2 * step``: adding a small step to a large x rounds.
    """
    results, points = [], []
    for sign in (1, -1):
        x = np.array(inputs[position])  # not x + step, which may change the layout
        x += sign * step
        moved = [*inputs[:position], x, *inputs[position + 1 :]]
        results.append(as_float64(call_on_copies("forward", forward, moved)))
        points.append(x)
    return results[0] - results[1], points[0] - points[1]
