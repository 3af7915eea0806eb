"""Measure how well simple classifiers do on the synthetic image set.

    python benchmarks/synthetic_difficulty.py
    python benchmarks/synthetic_difficulty.py --data-dir datasets/cifar10

The classifiers are softmax regression on the pixels, trained to a proven distance from
its optimum for several strengths of regularisation; the same on the three mean colours
of an image; and the nearest neighbour.  With ``--data-dir`` they classify CIFAR-10
instead, where softmax regression is known to reach about 40 %: this checks the script.
"""

import sys
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from odyssey.data.cifar10 import load_cifar10
from odyssey.data.dataset import DataError, Dataset
from odyssey.data.synthetic import make_synthetic
from odyssey.ops.loss import cross_entropy, cross_entropy_backward

STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001)  # of the regularisation, l in `fit_softmax`
TOLERANCE = 1e-3  # of the loss, above its minimum
NEIGHBOUR_BLOCK = 500  # test images whose distances are held at once


class Fit(NamedTuple):
    weight: np.ndarray  # (K, D)
    steps: int
    excess: float  # the loss is at most this much above its minimum


def fit_softmax(
    x: np.ndarray,
    labels: np.ndarray,
    strength: float,
    start: np.ndarray,
    max_steps: int = 5_000,
) -> Fit:
    """Minimise f(W) = cross_entropy(x W^T, labels) + l/2 |W|^2, with l = ``strength``.

    Nesterov's method for strongly convex functions: f curves at least l and at most
    L = l + 1/2 of the largest eigenvalue of x^T x / N, so

        W' = V - grad f(V) / L,   V' = W' + b (W' - W),   b = (1 - r) / (1 + r)

    with r = sqrt(l / L).  Strong convexity also says when to stop: f is at most
    |grad f|^2 / (2 l) above its minimum (Nesterov, "Introductory Lectures on Convex
    Optimization", 2004, sections 2.1.3 and 2.2.1).  ``max_steps`` is a guard.
    """
    curvature = strength + 0.5 * largest_eigenvalue(x)
    root = (strength / curvature) ** 0.5
    weight = ahead = start
    steps, excess = 0, np.inf
    while excess >= TOLERANCE and steps < max_steps:
        grad_logits = cross_entropy_backward(1.0, x @ ahead.T, labels)
        grad = grad_logits.T @ x + strength * ahead
        at, steps = ahead, steps + 1
        excess = float((grad * grad).sum()) / (2 * strength)
        before, weight = weight, ahead - grad / curvature
        ahead = weight + (1 - root) / (1 + root) * (weight - before)
    return Fit(at, steps, excess)


def largest_eigenvalue(x: np.ndarray, steps: int = 50) -> float:
    """Return the largest eigenvalue of x^T x / N and 5 % more, by power iteration."""
    v = np.random.default_rng(0).standard_normal(x.shape[1]).astype(x.dtype)
    for _ in range(steps):
        v /= np.linalg.norm(v)
        v = (x @ v) @ x / len(x)
    return 1.05 * float(np.linalg.norm(v))


def accuracy(weight: np.ndarray, x: np.ndarray, labels: np.ndarray) -> float:
    return float(((x @ weight.T).argmax(axis=1) == labels).mean())


def standardise(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring each column to mean 0 and deviation 1 and append a column of ones."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    return tuple(
        np.hstack([(x - mean) / std, np.ones((len(x), 1), x.dtype)])
        for x in (train, test)
    )


def report_softmax(title: str, train: np.ndarray, test: np.ndarray, data: Dataset):
    """Print a row for each strength, weakest last; each starts at the one before."""
    print(f"\nSoftmax regression on {title}")
    print("strength  steps  above minimum  train loss  train acc.  test acc.")
    train, test = standardise(train, test)
    weight = np.zeros((len(data.class_names), train.shape[1]), train.dtype)
    best = 0.0
    for strength in STRENGTHS:
        fit = fit_softmax(train, data.train_labels, strength, weight)
        weight = fit.weight
        loss = cross_entropy(train @ weight.T, data.train_labels)
        test_accuracy = accuracy(weight, test, data.test_labels)
        best = max(best, test_accuracy)
        print(
            f"{strength:8g}  {fit.steps:5d}  {fit.excess:13.1e}  {loss:10.4f}"
            f"  {accuracy(weight, train, data.train_labels):10.1%}"
            f"  {test_accuracy:9.1%}",
            flush=True,
        )
    print(f"best test accuracy (chosen on the test images, so flattering): {best:.1%}")


def nearest_neighbour_accuracy(
    train: np.ndarray, test: np.ndarray, data: Dataset
) -> float:
    """Give each test image the label of the nearest training image, in pixels."""
    squares = (train * train).sum(axis=1)
    correct = 0
    for start in range(0, len(test), NEIGHBOUR_BLOCK):
        block = slice(start, start + NEIGHBOUR_BLOCK)
        # |a - b|^2 = |a|^2 - 2 a.b + |b|^2, of which |a|^2 is the same for all b
        nearest = (squares - 2 * (test[block] @ train.T)).argmin(axis=1)
        correct += (data.train_labels[nearest] == data.test_labels[block]).sum()
    return correct / len(test)


@click.command()
@click.option("--data-dir", help="Judge CIFAR-10 in this folder instead.")
@click.option(
    "--limit-train", type=click.IntRange(1), default=10_000, show_default=True
)
@click.option("--limit-test", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the synthetic set.")
def main(data_dir: str | None, limit_train: int, limit_test: int, seed: int) -> None:
    """Measure how far simple classifiers get on the synthetic image set."""
    begin = time.perf_counter()
    try:
        data = (
            load_cifar10(data_dir)
            if data_dir
            else make_synthetic(limit_train, limit_test, seed)
        )
    except (DataError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    print(
        f"made or read in {time.perf_counter() - begin:.1f} s; NumPy {np.__version__}"
    )
    data = Dataset(
        *(part[:limit_train] for part in data[:2]),
        *(part[:limit_test] for part in data[2:4]),
        data.class_names,
    )
    print(f"{len(data.train_labels)} training, {len(data.test_labels)} test images")
    train, test = (
        images.astype(np.float32) / 255
        for images in (data.train_images, data.test_images)
    )
    colours = train.mean(axis=(2, 3)), test.mean(axis=(2, 3))
    train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)

    report_softmax("3 mean colours", *colours, data)
    report_softmax(f"{train.shape[1]} pixels", train, test, data)
    score = nearest_neighbour_accuracy(train, test, data)
    print(f"\nNearest neighbour in pixels: test accuracy {score:.1%}")
    print(f"all in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
