"""Loss, accuracy and confusion matrix of a model on labelled images."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from odyssey.ops.loss import cross_entropy, softmax

#: Images in a batch of evaluation; it changes results by rounding only.
BATCH_SIZE = 100


class Evaluation(NamedTuple):
    """The result of an evaluation; every image is counted once."""

    loss: float  # mean over the images
    correct: int  # number of images
    total: int  # number of images
    confusion: np.ndarray  # (K, K) int64: row the true class, column the predicted
    predicted: np.ndarray  # (total,) int64: class of the greatest logit, by image
    probability: np.ndarray  # (total,): the softmax's probability of that class

    def __repr__(self) -> str:
        right = f"{self.correct} of {self.total} right"
        return f"Evaluation({right}, loss {self.loss:.4f})"

    @property
    def accuracy(self) -> float:
        """Return the fraction of images that were classified correctly."""
        return self.correct / self.total


def count_correct(logits: np.ndarray, labels: np.ndarray) -> int | float:
    """Return how many rows of ``logits`` (N, K) are largest at their label.

    Labels are (N,) integers, or (N, K) distributions, as mixing makes them.  Then a row
    counts by the share of the predicted class in its distribution.
    """
    if labels.ndim == 2:
        shares = labels[np.arange(len(labels)), logits.argmax(axis=1)]
        return float(shares.sum(dtype=np.float64))
    return int(np.count_nonzero(logits.argmax(axis=1) == labels))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, K: int) -> np.ndarray:
    """Return the number of images (K, K) by true class (row) and predicted (column)."""
    cells = labels.astype(np.int64) * K + predicted
    return np.bincount(cells, minlength=K * K).reshape(K, K)


class BatchResult(NamedTuple):
    """The result of a batch of an evaluation."""

    loss_sum: float  # over its images
    confusion: np.ndarray  # (K, K), as in `Evaluation`
    predicted: np.ndarray  # (n,)
    probability: np.ndarray  # (n,)


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    before_batch: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Evaluate a model.

    Parameters
    ----------
    predict : maps images (N, C, H, W) to logits (N, K); must not change the model
    batches : at least one pair of images and labels (N,), which are 0 to K - 1
    before_batch : called before each batch; may raise to stop
    """
    results = []
    for images, labels in batches:
        before_batch()
        results.append(evaluate_batch(predict, images, labels))
    return combine(results)


def evaluate_batch(
    predict: Callable[[np.ndarray], np.ndarray], images: np.ndarray, labels: np.ndarray
) -> BatchResult:
    """Evaluate a model on one batch, see `evaluate`."""
    logits = predict(images)
    predicted = logits.argmax(axis=1)
    return BatchResult(
        cross_entropy(logits, labels) * len(labels),
        confusion_matrix(labels, predicted, logits.shape[1]),
        predicted,
        softmax(logits).max(axis=1),
    )


def combine(results: Sequence[BatchResult]) -> Evaluation:
    """Return the evaluation of batches from their results, in their order."""
    loss_sum = 0.0
    confusion: Any = 0  # an array from the first batch on
    for result in results:
        loss_sum += result.loss_sum
        confusion = confusion + result.confusion
    total = int(confusion.sum())
    return Evaluation(
        loss_sum / total,
        int(np.trace(confusion)),
        total,
        confusion,
        np.concatenate([result.predicted for result in results]),
        np.concatenate([result.probability for result in results]),
    )
