"""Mixup and CutMix: mix each image of a batch with the one before it.

Zhang et al. 2018, arXiv:1710.09412, and Yun et al. 2019, arXiv:1905.04899.  Labels
become distributions over the classes, with the share of each image as its weight.
The first image is mixed with the last one of the batch.  Batches are shuffled, so
neighbours are random pairs already.  A batch of one image is mixed with itself, which
changes nothing.  The pairs, the box and its clipping are those of torchvision's
``references/classification/transforms.py``.

The mixing of a batch is a pure function of (seed, epoch, number of the batch).  All
images of a batch have the same share, or the same box.

A share is drawn from the distribution Beta(alpha, alpha): near 0 or 1 if alpha is
small, uniform for 1, near 1/2 if alpha is large.  With two uniform numbers u and v

    w = u^(1/alpha)    c = cos(2*pi*v)    t = c * sqrt((1 - w) / (w + (1 - w) * c^2))
    share = (1 + t) / 2

Reason: ``s = sqrt(2*alpha * (1/w - 1)) * c`` has Student's t distribution with 2*alpha
degrees of freedom (Bailey, *Polar Generation of Random Variates with the
t-Distribution*, Math. Comp. 62, 1994), and ``(1 + s / sqrt(2*alpha + s^2)) / 2`` then
has the distribution Beta(alpha, alpha).  The form above does not overflow for small
alpha.
"""

import math

import numpy as np

from odyssey.checks import (
    check_array,
    check_floating,
    check_int,
    check_ndim,
    check_number,
)
from odyssey.data.streams import MIX_STREAM, as_counter, as_word, random_words


def mixup(
    x: np.ndarray, labels: np.ndarray, num_classes: int, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``share`` of each image plus ``1 - share`` of the one before it.

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64, any memory order
    labels : (N,) integers, 0 to ``num_classes - 1``
    num_classes : K, at least 1
    share : 0 to 1

    Returns
    -------
    mixed : (N, C, H, W), dtype and memory order of ``x``
    targets : (N, K), dtype of ``x``, rows that sum to 1
    """
    op = "mixup"
    _check_batch(op, x, labels, num_classes)
    share = check_number(op, "share", share, 0, 1)
    own, other = x.dtype.type(share), x.dtype.type(1 - share)
    mixed = own * x
    mixed[1:] += other * x[:-1]
    mixed[:1] += other * x[-1:]
    return mixed, _targets(x, labels, num_classes, share)


def cutmix(
    x: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    box: tuple[int, int, int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return each image with a box cut out of the one before it pasted in.

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64, any memory order
    labels : (N,) integers, 0 to ``num_classes - 1``
    num_classes : K, at least 1
    box : (top, bottom, left, right), within the image; rows top to bottom - 1 and
        columns left to right - 1 are pasted

    Returns
    -------
    mixed : (N, C, H, W), dtype and memory order of ``x``
    targets : (N, K), dtype of ``x``; the weight of the other label is the box's share
        of the image's area
    """
    op = "cutmix"
    _check_batch(op, x, labels, num_classes)
    H, W = x.shape[2:]
    if not isinstance(box, tuple) or len(box) != 4:
        raise TypeError(f"{op}: box must be a tuple of four integers, got {box!r}")
    top, bottom, left, right = (check_int(op, "box", edge, minimum=0) for edge in box)
    if not (top <= bottom <= H and left <= right <= W):
        raise ValueError(
            f"{op}: box must be (top, bottom, left, right) within {H}x{W} pixels, "
            f"got {box}"
        )
    mixed = x.copy(order="K")
    rows, columns = slice(top, bottom), slice(left, right)
    mixed[:, :, rows, columns] = np.roll(x[:, :, rows, columns], 1, axis=0)
    area = (bottom - top) * (right - left)
    share = 1 - area / (H * W) if area else 1.0
    return mixed, _targets(x, labels, num_classes, share)


def mix_batch(
    x: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    *,
    seed: int,
    epoch: int,
    batch: int,
    mixup_alpha: float = 0.0,
    cutmix_alpha: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Mix a batch by mixup or CutMix; if both are on, each with probability 1/2.

    The random numbers are the first words of ``numpy.random.Philox(key=(seed,
    MIX_STREAM), counter=(0, batch, epoch, 0))``.  The highest bit of word 0 chooses
    CutMix, words 1 and 2 give the share, and words 3 and 4, modulo H and W, are the
    centre of CutMix's box.  The box's sides are sqrt(1 - share) times the image's,
    rounded down to an even number of pixels, and it is clipped at the border.

    Parameters
    ----------
    x : (N, C, H, W) float32 or float64, any memory order
    labels : (N,) integers, 0 to ``num_classes - 1``
    num_classes : K, at least 1
    seed : any integer of 64 bits, signed or unsigned
    epoch, batch : their numbers, 0 to 2**64 - 1
    mixup_alpha, cutmix_alpha : of the share's Beta distribution; 0 turns it off

    Returns
    -------
    mixed : (N, C, H, W), dtype and memory order of ``x``; a copy if both alpha are 0
    targets : (N, K), dtype of ``x``, rows that sum to 1

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid.
    """
    op = "mix_batch"
    word = as_word(op, "seed", seed)
    counter = as_counter(op, "batch", batch), as_counter(op, "epoch", epoch)
    mixup_alpha = check_number(op, "mixup_alpha", mixup_alpha, 0)
    cutmix_alpha = check_number(op, "cutmix_alpha", cutmix_alpha, 0)
    _check_batch(op, x, labels, num_classes)
    if not (mixup_alpha or cutmix_alpha):
        return mixup(x, labels, num_classes, 1.0)
    words = random_words(5, word, MIX_STREAM, *counter)
    cut, u, v, y, x_centre = (int(word) for word in words)
    if not mixup_alpha or (cutmix_alpha and cut >> 63):
        share = symmetric_beta(cutmix_alpha, u, v)
        H, W = x.shape[2:]
        box = clipped_box(share, y % max(H, 1), x_centre % max(W, 1), H, W)
        return cutmix(x, labels, num_classes, box)
    return mixup(x, labels, num_classes, symmetric_beta(mixup_alpha, u, v))


def symmetric_beta(alpha: float, u_word: int, v_word: int) -> float:
    """Return a number drawn from Beta(alpha, alpha) by two random words."""
    log_u = math.log(((u_word >> 11) + 1) / 2**53)  # u in (0, 1]
    c = math.cos(2 * math.pi * ((v_word >> 11) / 2**53))
    w, rest = math.exp(log_u / alpha), -math.expm1(log_u / alpha)
    if rest == 0:
        return 0.5
    return 0.5 + 0.5 * math.copysign(math.sqrt(rest / (w / c**2 + rest)), c)


def clipped_box(
    share: float, y: int, x: int, H: int, W: int
) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of a box with area 1 - share about a pixel."""
    half = 0.5 * math.sqrt(1 - share)
    half_h, half_w = int(half * H), int(half * W)
    return (
        max(y - half_h, 0),
        min(y + half_h, H),
        max(x - half_w, 0),
        min(x + half_w, W),
    )


def check_classes(op: str, labels: np.ndarray, num_classes: int) -> None:
    """Raise unless ``labels`` are integers from 0 to ``num_classes - 1``."""
    check_int(op, "num_classes", num_classes, minimum=1)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{op}: labels must be integers, got {labels.dtype}")
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"{op}: labels must be 0 to {num_classes - 1}, "
            f"got {labels.min()} to {labels.max()}"
        )


def _check_batch(op: str, x: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    """Check a batch of images and their labels."""
    check_floating(op, x=x)
    check_ndim(op, "x", x, "(N, C, H, W)")
    check_array(op, "labels", labels)
    check_ndim(op, "labels", labels, "(N,)")
    if len(labels) != len(x):
        raise ValueError(
            f"{op}: labels must be as many as images, {len(x)}, got {len(labels)}"
        )
    check_classes(op, labels, num_classes)


def _targets(
    x: np.ndarray, labels: np.ndarray, num_classes: int, share: float
) -> np.ndarray:
    """Return share * one_hot(label) + (1 - share) * one_hot(label before), (N, K)."""
    targets = np.zeros((len(labels), num_classes))
    rows, labels = np.arange(len(labels)), labels.astype(np.int64)
    targets[rows, labels] = share
    targets[rows, np.roll(labels, 1)] += 1 - share
    return targets.astype(x.dtype.newbyteorder("="))
