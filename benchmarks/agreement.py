"""Compare the results of two implementations, which may differ by rounding only.

The measure is the relative difference in the 2-norm, ||a - b|| / ||b||, for each array:
it does not depend on how large the values of the array are.
"""

import numpy as np
from contenders import Contender

#: An operation alone, in float32.  Winograd's sums are off by 1e-6 of a float64 sum,
#: plain ones by 1e-7 to 1e-6, that of a kernel's gradient over 131,072 pixels included.
OPERATION = 2e-5

#: A whole step in float64: this one settles whether both compute the same function.
STEP_FLOAT64 = 1e-9

#: Logits of the whole network, in evaluation.
LOGITS = {"float32": 2e-5, "bfloat16": 5e-2}

#: Losses before and after an update, which has gone through the gradients below.
LOSSES = {"float32": 1e-3, "bfloat16": 1e-1}

#: Gradients of the whole network.  Where the argument of a relu is within rounding of
#: zero, one implementation lets a gradient through and the other does not.  In float32
#: that makes about 0.01, in bfloat16 0.4; unrelated gradients would differ by 1.4.
#: ResNet-50, 128 images, float32 against float64: up to 0.031 here, where Winograd's
#: sums are rounded more, up to 0.016 in PyTorch; one against the other up to 0.032.
GRADIENT = {"float32": 5e-2, "bfloat16": 0.7}


class Disagreement(Exception):
    """Raised when results differ by more than rounding."""


def compare(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], peer: Contender
) -> dict[str, tuple[float, float]]:
    """Return the largest difference and its tolerance for each kind of quantity.

    Raises Disagreement, naming the array, where one is above its tolerance.
    """
    if found.keys() != expected.keys():
        differing = sorted(found.keys() ^ expected.keys())
        raise Disagreement(f"{peer.name}: only one of both gives {differing[0]}")
    worst = {}
    for name, array in expected.items():
        quantity, tolerance = _tolerance(name, peer.precision)
        difference = relative_difference(found[name], array)
        if not difference <= tolerance:  # so that NaN does not pass
            raise Disagreement(
                f"{peer.name} and odyssey differ: {name} by {difference:.1e} "
                f"(relative, 2-norm), at most {tolerance:.0e} may be"
            )
        worst[quantity] = max(worst.get(quantity, (0, 0)), (difference, tolerance))
    return worst


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return ||a - b|| / ||b||, infinite where the shapes differ."""
    if a.shape != b.shape:
        return np.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    norm = np.linalg.norm(b)
    return float(np.linalg.norm(a - b) / norm) if norm else float(np.abs(a).max())


def _tolerance(name: str, precision: str) -> tuple[str, float]:
    job = name.partition(":")[0]
    if job == "train64":
        return "losses and gradients in float64", STEP_FLOAT64
    if job == "train" and "gradient of" in name:
        return "gradients", GRADIENT[precision]
    if job == "train":
        return "losses", LOSSES[precision]
    if job == "eval":
        return "logits", LOGITS[precision]
    return "results", OPERATION
