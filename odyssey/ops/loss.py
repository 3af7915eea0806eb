"""Softmax, and cross-entropy of its logarithm.

Softmax, forward                                 for one row z of K logits
    (1) shifted = z - max(z)      (2) lse = log(sum of exp(shifted))
    (3) prob = exp(shifted - lse)
The shift cancels in prob and makes the largest exponent 0.  So nothing overflows, and
the sum is at least 1: its logarithm needs no epsilon.
Softmax, backward
    d prob_j / d z_k = prob_j * ([j = k] - prob_k), so with g = grad_output
    grad_logits_k = sum over j of g_j * d prob_j / d z_k
                  = prob_k * (g_k - sum over j of g_j * prob_j)

Cross-entropy, forward                           for N rows in the batch
    (4) nll_k = lse - shifted_k = -log(prob_k)
    (5) loss = 1/N * sum of target_k * nll_k
Cross-entropy, backward, through (5), (4) and (2) at once
    d lse / d z_k = prob_k                       with max(z) held fixed, because nll
    d shifted_j / d z_k = [j = k]                does not depend on it
    d nll_j / d z_k = prob_k - [j = k]
    grad_logits_k = 1/N * sum over j of target_j * (prob_k - [j = k])
                  = 1/N * (prob_k * sum(target) - target_k)      and sum(target) = 1
No step divides by a probability.  Backwards of softmax and of a logarithm, one after
the other, would have to.

Label smoothing e replaces target by (1 - e) * target + e/K: Szegedy et al. 2016,
arXiv:1512.00567.

Everything is computed in float64 and rounded once: with K of about ten this costs
nothing.  More in docs/derivations/softmax_cross_entropy.md.
"""

import numpy as np

from odyssey import checks, layout

__all__ = ["cross_entropy", "cross_entropy_backward", "softmax", "softmax_backward"]

#: How far the sum of a row of target probabilities may be from one.
SUM_TOLERANCE = 1e-4


def _check_logits(op: str, logits: np.ndarray) -> None:
    """Raise unless ``logits`` is (N, K) with at least one class."""
    checks.check_floating(op, logits=logits)
    checks.check_ndim(op, "logits", logits, "(N, K)")
    if logits.shape[1] == 0:
        raise ValueError(
            f"{op}: logits must have at least one class, got shape {logits.shape}"
        )


def _shift(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shifted (N, K) and lse (N, 1) in float64, the forward's (1) and (2)."""
    # a row that holds NaN or Inf, or nothing but -Inf, comes out as NaN: no warning
    with np.errstate(invalid="ignore", over="ignore"):
        logits = logits.astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted, np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _like(values: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return float64 ``values`` (N, K) in the dtype and memory layout of ``logits``."""
    result = layout.empty_like_layout(logits, logits.shape)
    with np.errstate(over="ignore"):
        result[...] = values
    return result


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities exp(logits) / sum of exp(logits) of each row.

    Parameters
    ----------
    logits : (N, K), float32 or float64

    Returns
    -------
    probabilities : (N, K), dtype and layout of ``logits``; NaN in rows that hold NaN
        or +Inf, or nothing but -Inf

    Raises
    ------
    TypeError, ValueError
        If ``logits`` is not a float32 or float64 array; if it is not (N, K), K >= 1.
    """
    _check_logits("softmax", logits)
    shifted, lse = _shift(logits)
    return _like(np.exp(shifted - lse), logits)


def softmax_backward(grad_output: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return the gradient of ``softmax`` with respect to ``logits``.

    Parameters
    ----------
    grad_output : (N, K), dtype of ``logits``, the gradient of the probabilities
    logits : (N, K), the argument of the forward

    Returns
    -------
    grad_logits : (N, K), dtype and layout of ``logits``

    Raises
    ------
    TypeError, ValueError
        As ``softmax``, and for a ``grad_output`` of another dtype or shape.
    """
    op = "softmax_backward"
    _check_logits(op, logits)
    checks.check_floating(op, logits=logits, grad_output=grad_output)
    checks.check_shape(op, "grad_output", grad_output, logits.shape, "as logits")
    shifted, lse = _shift(logits)
    prob = np.exp(shifted - lse)  # forward (3)
    with np.errstate(invalid="ignore"):
        g = grad_output.astype(np.float64)
        return _like(prob * (g - (g * prob).sum(axis=1, keepdims=True)), logits)


def _targets(
    op: str, logits: np.ndarray, labels: np.ndarray, label_smoothing: float
) -> np.ndarray:
    """Return the target distributions (N, K) in float64, after all checks."""
    _check_logits(op, logits)
    smoothing = checks.check_number(op, "label_smoothing", label_smoothing, 0.0, 1.0)
    checks.check_array(op, "labels", labels)
    N, K = logits.shape
    if N == 0:
        raise ValueError(f"{op}: logits must hold at least one row, got {logits.shape}")
    if labels.dtype.kind in "iu":
        hint = "; for one-hot rows pass argmax(1)" if labels.shape == (N, K) else ""
        checks.check_shape(op, "labels", labels, (N,), f"one integer a row{hint}")
        wrong = np.flatnonzero((labels < 0) | (labels >= K))
        if wrong.size:
            raise ValueError(
                f"{op}: labels must be in 0..{K - 1}, "
                f"got {labels[wrong[0]]} at position {wrong[0]}"
            )
        target = np.zeros((N, K))
        target[np.arange(N), labels.astype(np.intp)] = 1.0
    elif labels.dtype.kind != "f" or labels.ndim < 2:
        raise TypeError(
            f"{op}: labels must be integers (N,) or distributions (N, K), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    else:
        checks.check_floating(op, logits=logits, labels=labels)
        checks.check_shape(op, "labels", labels, (N, K), "one distribution a row")
        target = labels.astype(np.float64)
        # written so that NaN is refused
        sums = target.sum(axis=1)
        wrong = np.flatnonzero(
            ~((abs(sums - 1.0) <= SUM_TOLERANCE) & (target >= 0).all(axis=1))
        )
        if wrong.size:
            raise ValueError(
                f"{op}: labels must be distributions, not negative and of sum 1, "
                f"got a sum of {sums[wrong[0]]} and a least entry of "
                f"{target[wrong[0]].min()} in row {wrong[0]}"
            )
    return (1.0 - smoothing) * target + smoothing / K


def cross_entropy(
    logits: np.ndarray, labels: np.ndarray, label_smoothing: float = 0.0
) -> float:
    """Return the mean over the batch of -sum of target * log(softmax(logits)).

    Parameters
    ----------
    logits : (N, K), float32 or float64, N and K at least 1
    labels : (N,) classes 0..K-1 of any integer dtype; or (N, K) distributions in the
        dtype of ``logits``, not negative, each row of sum 1 to within 1e-4
    label_smoothing : share of the uniform distribution in the target, 0 to 1

    Returns
    -------
    loss : Python float, summed in float64

    Raises
    ------
    TypeError
        If ``logits`` is not a float32 or float64 array, or ``labels`` is a list, holds
        bools, or is float without being (N, K) in the dtype of ``logits``.
    ValueError
        For empty or misshapen arguments, labels that are no class, rows that are no
        distribution, ``label_smoothing`` outside its range.

    Notes
    -----
    A class of probability 0 adds nothing to the loss if its target is 0 (0 * Inf counts
    as 0), and Inf otherwise.
    """
    target = _targets("cross_entropy", logits, labels, label_smoothing)
    shifted, lse = _shift(logits)
    nll = lse - shifted
    cost = np.multiply(target, nll, out=np.zeros_like(target), where=target != 0)
    return float(cost.sum(axis=1).mean())


def cross_entropy_backward(
    grad_output: float,
    logits: np.ndarray,
    labels: np.ndarray,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """Return the gradient of ``cross_entropy`` with respect to ``logits``.

    Parameters
    ----------
    grad_output : a number or an array of no dimensions, the gradient of the loss;
        1.0 where the loss is the last thing computed
    logits, labels, label_smoothing : the arguments of the forward

    Returns
    -------
    grad_logits : (N, K), dtype and layout of ``logits``

    Raises
    ------
    TypeError, ValueError
        As ``cross_entropy``, and for a ``grad_output`` that is not a scalar.
    """
    op = "cross_entropy_backward"
    scalar = np.asarray(grad_output)
    if scalar.dtype.kind not in "iuf":
        raise TypeError(f"{op}: grad_output must be a number, got {grad_output!r}")
    checks.check_shape(op, "grad_output", scalar, (), "a scalar")
    target = _targets(op, logits, labels, label_smoothing)
    shifted, lse = _shift(logits)
    prob = np.exp(shifted - lse)
    # forward: loss = 1/N * sum of target * (lse - shifted)
    with np.errstate(invalid="ignore"):
        grad = (prob * target.sum(axis=1, keepdims=True) - target) * (
            float(scalar) / len(logits)
        )
    return _like(grad, logits)
