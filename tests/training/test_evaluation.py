"""Evaluation against a case worked by hand."""

import math

import numpy as np
import pytest

from odyssey.training.evaluation import evaluate

# The images are the logits: six of them, four classes, the last never a label.
X = np.array(
    [
        [2, 0, 0, 0],
        [0, 2, 0, 0],
        [0, 2, 0, 0],
        [0, 0, 0, 2],
        [0, 0, 2, 0],
        [2, 0, 0, 0],
    ],
    np.float32,
)
LABELS = np.array([0, 1, 0, 2, 2, 1], np.uint8)
BATCHES = [(X[:4], LABELS[:4]), (X[4:], LABELS[4:])]


def test_counts_and_loss():
    result = evaluate(lambda x: x, BATCHES)
    assert result.confusion.tolist() == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
        [0, 0, 0, 0],
    ]
    assert (result.correct, result.total, result.accuracy) == (3, 6, 0.5)
    normalizer = math.log(math.exp(2) + 3)
    assert result.loss == pytest.approx(normalizer - 2 * 3 / 6, rel=1e-6)


@pytest.mark.parametrize("K", [2, 12, 100])
def test_the_confusion_is_as_large_as_the_logits(K):
    logits = np.zeros((3, K), np.float32)
    logits[:, K - 1] = 1
    result = evaluate(lambda x: logits, [(X[:3], np.array([0, 1, 1]))])
    assert result.confusion.shape == (K, K)
    assert result.confusion[:, K - 1].sum() == 3 and result.total == 3


def test_before_each_batch_something_may_stop_it():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(lambda x: pytest.fail("predicted"), BATCHES, before_batch=stop)
