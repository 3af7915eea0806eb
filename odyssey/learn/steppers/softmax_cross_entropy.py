"""The stepper of softmax and cross-entropy: its first values, and what they give."""

import numpy as np

from odyssey.learn.steppers.stepper import Arrays, Options, Stepper
from odyssey.reference.loss import (
    _log_softmax,
    _targets,
    cross_entropy,
    cross_entropy_backward,
    softmax,
)


def results(values: Arrays, options: Options) -> dict[str, np.ndarray]:
    """Return the loss, the gradient of the logits, and what is between them."""
    logits, labels = values["logits"], values["labels"].astype(int)
    smoothing, grad_output = values["label_smoothing"], values["grad_output"]
    greatest = logits.max(axis=1)
    shifted = logits - greatest[:, None]
    arguments = (logits, labels, float(smoothing))
    return {
        "greatest": greatest,
        "shifted": shifted,
        "total": np.exp(shifted).sum(axis=1),
        "log_prob": _log_softmax(logits),
        "target": _targets(*arguments),
        "loss": np.array(cross_entropy(*arguments)),
        "prob": softmax(logits),
        "grad_logits": cross_entropy_backward(float(grad_output), *arguments),
    }


STEPPER = Stepper(
    title="Softmax and cross-entropy",
    about="Softmax makes probabilities of the logits of each row; the loss is small"
    " where the label's probability is great. However long the way there, the gradient"
    " is the probability minus the target.",
    values={
        # exp of the first row is 1, 2, 5: docs/derivations/softmax_cross_entropy.md
        "logits": np.array([[0.0, np.log(2), np.log(5)], [0.0, 0.0, 0.0]]),
        "labels": np.array([1, 2]),
        "label_smoothing": np.array(0.3),
        "grad_output": np.array(1.0),
    },
    options={},
    results=results,
    functions=(
        softmax,
        cross_entropy,
        cross_entropy_backward,
        _log_softmax,
        _targets,
    ),
    lines={
        "shifted": "shifted = logits - logits.max",
        "total": "return shifted - np.log(np.exp(shifted).sum",
        "target": "target = np.eye(K, dtype=logits.dtype)[labels]",
        "smoothed": "return (1 - label_smoothing) * target",
        "loss": "return -float((target[hit]",
        "prob": "return np.exp(_log_softmax(logits))",
        "grad_logits": "return (softmax(logits) - target)",
    },
)
