"""Wrong backwards of softmax and cross_entropy."""

import numpy as np

from odyssey.reference import softmax
from zoo.wrong import wrong


def targets(logits, labels, label_smoothing=0.0):
    K = logits.shape[1]
    target = np.eye(K)[labels] if labels.ndim == 1 else labels
    return (1 - label_smoothing) * target + label_smoothing / K


@wrong("softmax", "each probability only of its own logit", "only the diagonal")
def softmax_diagonal(grad_output, logits):
    prob = softmax(logits)
    return grad_output * prob * (1 - prob)


@wrong("softmax", "the sum in the denominator taken for a constant",
       "path through the sum left out")  # fmt: skip
def softmax_without_sum(grad_output, logits):
    return grad_output * softmax(logits)


@wrong("softmax", "sum over the batch", "statistics of the wrong values")
def softmax_over_the_batch(grad_output, logits):
    prob = softmax(logits)
    return prob * (grad_output - (grad_output * prob).sum(axis=0, keepdims=True))


@wrong("softmax", "mean in the place of the sum", "mean instead of sum")
def softmax_mean(grad_output, logits):
    prob = softmax(logits)
    return prob * (grad_output - (grad_output * prob).mean(axis=1, keepdims=True))


@wrong("softmax", "first factor forgotten", "factor left out")
def softmax_without_factor(grad_output, logits):
    prob = softmax(logits)
    return grad_output - (grad_output * prob).sum(axis=1, keepdims=True)


@wrong("cross_entropy", "not divided by the batch", "sum instead of mean")
def cross_entropy_sum(grad_output, logits, labels):
    return (softmax(logits) - targets(logits, labels)) * grad_output


@wrong("cross_entropy", "target minus softmax", "wrong sign")
def cross_entropy_sign(grad_output, logits, labels):
    return (targets(logits, labels) - softmax(logits)) * grad_output / len(logits)


@wrong("cross_entropy", "upstream gradient forgotten", "upstream gradient left out")
def cross_entropy_without_upstream(grad_output, logits, labels):
    return (softmax(logits) - targets(logits, labels)) / len(logits)


@wrong("cross_entropy", "logits in the place of their softmax", "softmax left out")
def cross_entropy_logits(grad_output, logits, labels):
    return (logits - targets(logits, labels)) * grad_output / len(logits)


@wrong("cross_entropy", "labels not smoothed", "label smoothing left out",
       case="smoothed")  # fmt: skip
def cross_entropy_not_smoothed(grad_output, logits, labels, label_smoothing=0.0):
    return (softmax(logits) - targets(logits, labels)) * grad_output / len(logits)


@wrong("cross_entropy", "divided by the number of classes", "wrong factor")
def cross_entropy_classes(grad_output, logits, labels):
    grad = (softmax(logits) - targets(logits, labels)) * grad_output
    return grad / logits.shape[1]


@wrong("cross_entropy", "target forgotten", "target left out", case="distributions")
def cross_entropy_without_target(grad_output, logits, labels):
    return softmax(logits) * grad_output / len(logits)


@wrong("cross_entropy", "softmax over the whole batch",
       "statistics of the wrong values")  # fmt: skip
def cross_entropy_over_all(grad_output, logits, labels):
    exp = np.exp(logits - logits.max())
    grad = exp / exp.sum() - targets(logits, labels)
    return grad * grad_output / len(logits)


@wrong("cross_entropy", "divided twice by the batch", "mean instead of sum")
def cross_entropy_divided_twice(grad_output, logits, labels):
    grad = (softmax(logits) - targets(logits, labels)) * grad_output
    return grad / len(logits) ** 2
