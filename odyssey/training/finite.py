"""Checks that NaN and infinity are not trained on, saved or loaded unnoticed."""

import math
from collections.abc import Mapping

import numpy as np

from odyssey.errors import InputError, NonFiniteError, remedy
from odyssey.optim import global_grad_norm
from odyssey.weights.changed_files import listed


def nonfinite_names(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the tensors that hold a NaN or an infinity."""
    return [name for name, t in tensors.items() if not np.isfinite(t).all()]


def check_step(loss: float, grads: Mapping[str, np.ndarray]) -> float:
    """Check a step before its update; return the 2-norm of the gradients.

    Raises
    ------
    NonFiniteError
        If the loss or the norm is NaN or infinite; the message names the gradients.
    """
    norm = global_grad_norm(grads.values())
    if not (math.isfinite(loss) and math.isfinite(norm)):
        bad = nonfinite_names(grads)
        where = f", not finite in the gradient of {listed(bad)}" if bad else ""
        raise NonFiniteError(f"loss {loss}, gradient norm {norm:.6g}{where}")
    return norm


def refuse_nonfinite(
    tensors: Mapping[str, np.ndarray], origin: str, allow: bool = False
) -> None:
    """Raise `InputError` that names ``origin`` and its tensors that are not finite.

    With ``allow`` they are accepted.
    """
    bad = [] if allow else nonfinite_names(tensors)
    if bad:
        raise InputError(f"{origin}: not finite: {listed(bad)}{remedy('not finite')}")
