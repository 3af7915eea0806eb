"""Wrong tries of softmax and cross-entropy."""

from tries import Try

from odyssey.learn.grading import CASES, EDGES, HAND

TRIES = [
    Try(
        "overflows",
        "logits - logits.max(axis=1, keepdims=True)",
        "logits",
        "softmax",
        EDGES,
        "logits of -1000: exp is 0",
    ),
    Try(
        "the diagonal of the Jacobian only",
        "prob * (grad_output - (grad_output * prob).sum(axis=1, keepdims=True))",
        "prob * (1 - prob) * grad_output",
        "softmax_backward",
        HAND,
        "The three sum to 0",
    ),
    Try(
        "sum in place of the mean",
        "float(grad_output) / len(logits)",
        "float(grad_output)",
        "cross_entropy_backward",
        HAND,
    ),
    Try(
        "grad_output left out",
        "float(grad_output) / len(logits)",
        "1 / len(logits)",
        "cross_entropy_backward",
        HAND,
    ),
    Try(
        "smoothing left out",
        "(1 - label_smoothing) * target + label_smoothing / K",
        "target",
        "cross_entropy",
        HAND,
    ),
    Try(
        "smoothing over the other classes",
        "label_smoothing / K",
        "label_smoothing / max(1, K - 1) * (1 - target)",
        "cross_entropy",
        HAND,
    ),
    Try(
        "0 times -Inf",
        "hit = target > 0",
        "hit = target > -1",
        "cross_entropy",
        EDGES,
    ),
    Try(
        "classes only",
        "np.eye(K, dtype=logits.dtype)[labels] if labels.ndim == 1 else labels",
        "np.eye(K, dtype=logits.dtype)[labels]",
        "cross_entropy",
        CASES,
        "IndexError",
    ),
    Try("sign of the loss", "return -float(", "return float(", "cross_entropy", HAND),
]
