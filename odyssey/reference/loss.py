"""Softmax and cross-entropy."""

import numpy as np


def softmax(logits):
    """Return exp(logits) / sum(exp(logits)) of each row of logits (N, K)."""
    return np.exp(_log_softmax(logits))


def softmax_backward(grad_output, logits):
    """Return grad_logits of :func:`softmax`."""
    prob = softmax(logits)
    # d prob[j] / d logits[k] = prob[j] * ((j == k) - prob[k])
    return prob * (grad_output - (grad_output * prob).sum(axis=1, keepdims=True))


def cross_entropy(logits, labels, label_smoothing=0.0):
    """Return the mean over the batch of -sum over k of target[k] * log(softmax[k]).

    Integer labels (N,) mean a target of 1 for that class; floating ones (N, K) are the
    target. The label_smoothing e replaces it by (1 - e) * target + e / K.
    """
    target = _targets(logits, labels, label_smoothing)
    hit = target > 0  # other terms are 0, even if log(softmax) is -Inf
    return -float((target[hit] * _log_softmax(logits)[hit]).sum()) / len(logits)


def cross_entropy_backward(grad_output, logits, labels, label_smoothing=0.0):
    """Return grad_logits; grad_output is a number.

    log(softmax[k]) = logits[k] - log(sum(exp(logits))).  The derivative of the last
    term is softmax, and each target sums to 1, so the result is softmax - target.
    """
    target = _targets(logits, labels, label_smoothing)
    return (softmax(logits) - target) * (float(grad_output) / len(logits))


def _log_softmax(logits):
    """Return logits - log(sum(exp(logits))), shifted so that no exp is above 1."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _targets(logits, labels, label_smoothing):
    """Return the target distributions (N, K), after label smoothing."""
    K = logits.shape[1]
    target = np.eye(K, dtype=logits.dtype)[labels] if labels.ndim == 1 else labels
    return (1 - label_smoothing) * target + label_smoothing / K
