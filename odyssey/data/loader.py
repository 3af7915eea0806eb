"""Batches of a data set in memory: shuffled, augmented, normalised, resumable.

A loader has no state that changes.  The order of an epoch is a pure function of (seed,
epoch), the augmentation of a sample of (seed, epoch, index), and the mixing of a batch
of (seed, epoch, number of the batch).  So training that stopped at batch 200 of epoch 7
can continue there without replaying the batches before.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from odyssey.checks import check_array, check_int, check_ndim, check_number
from odyssey.data.augment import augment_batch
from odyssey.data.batching import compute_num_batches
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.data.mixing import check_classes, mix_batch
from odyssey.data.streams import SHUFFLE_STREAM, as_counter, as_word, random_words
from odyssey.distributed.rows import rows_of
from odyssey.layout import as_nhwc


def permutation(n: int, *, seed: int, stream: int, epoch: int = 0) -> np.ndarray:
    """Return the numbers 0 to ``n - 1`` in random order, (n,) int64.

    It is a pure function of its arguments: the order that sorts the first n words of
    ``numpy.random.Philox(key=(seed, stream), counter=(0, 0, epoch, 0))``.  NumPy
    promises that these words are the same in all versions; it does not promise this
    for ``Generator.permutation``.

    Parameters
    ----------
    n : at least 0
    seed : any integer of 64 bits, signed or unsigned
    stream : a different number for each use of randomness
    epoch : 0 to 2**64 - 1
    """
    op = "permutation"
    n = check_int(op, "n", n, minimum=0)
    key = as_word(op, "seed", seed), as_word(op, "stream", stream)
    words = random_words(n, *key, np.uint64(0), as_counter(op, "epoch", epoch))
    return np.argsort(words, kind="stable")


class BatchLoader:
    """Cut a set of images into normalised batches, epoch by epoch.

    Parameters
    ----------
    images : (N, C, H, W) uint8; copied once if their memory is not channels-last
    labels : (N,) integers
    batch_size : at least 1; the last batch of an epoch is short, or left out
    seed : any integer of 64 bits; order and augmentation follow from it
    augment : whether to crop and flip images at random; cutout and RandAugment need it,
        see `augment_batch`
    shuffle : whether each epoch has its own order, or that of ``images``
    drop_last : whether to leave a short last batch out
    padding, pad_mode : of the random crop
    flip : "random", "alternating" or "none"
    cutout : side of the square that is set to zero, in pixels; 0 for none
    randaugment_ops, randaugment_magnitude : of RandAugment, 0 operations for none
    mixup_alpha, cutmix_alpha : see `mix_batch`, 0 for none; they do not need
        ``augment``.  With either, labels are distributions over the classes
    num_classes : K, needed for mixing
    mean, std : of each channel, for the normalisation
    dtype : float32 or float64, of the batches
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        *,
        seed: int = 0,
        augment: bool = False,
        shuffle: bool = True,
        drop_last: bool = False,
        padding: int = 4,
        pad_mode: str = "zero",
        flip: bool | str = "random",
        cutout: int = 0,
        randaugment_ops: int = 0,
        randaugment_magnitude: int = 9,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
        num_classes: int | None = None,
        mean: Sequence[float] = CIFAR10_MEAN,
        std: Sequence[float] = CIFAR10_STD,
        dtype: np.dtype | type = np.float32,
    ):
        op = "BatchLoader"
        check_array(op, "images", images)
        check_ndim(op, "images", images, "(N, C, H, W)")
        check_array(op, "labels", labels)
        check_ndim(op, "labels", labels, "(N,)")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{op}: labels must be integers, got {labels.dtype}")
        if len(labels) != len(images):
            raise ValueError(
                f"{op}: labels must be as many as images, {len(images)}, "
                f"got {len(labels)}"
            )
        self._images = as_nhwc(images).transpose(0, 3, 1, 2)
        self._labels = labels.astype(np.int64)
        self._batch_size = check_int(op, "batch_size", batch_size, minimum=1)
        self._seed, self._shuffle, self._dtype = seed, shuffle, np.dtype(dtype)
        self._drop_last = drop_last
        self._rank, self._size = 0, 1
        self._options: dict[str, Any] = {
            "seed": seed,
            "padding": padding,
            "mode": pad_mode,
            "flip": flip,
            "cutout": cutout,
            "randaugment_ops": randaugment_ops,
            "randaugment_magnitude": randaugment_magnitude,
            "mean": mean,
            "std": std,
        }
        self._mixing: dict[str, Any] = {
            "seed": seed,
            "mixup_alpha": check_number(op, "mixup_alpha", mixup_alpha, 0),
            "cutmix_alpha": check_number(op, "cutmix_alpha", cutmix_alpha, 0),
        }
        self._mixes = bool(mixup_alpha or cutmix_alpha)
        self._num_classes = num_classes
        if self._mixes or num_classes is not None:
            if num_classes is None:
                raise ValueError(
                    f"{op}: num_classes must be given for mixing, got None"
                )
            check_classes(op, self._labels, num_classes)
        # An empty batch checks every option now rather than in the first epoch.
        self._batch(np.arange(0), 0, 0)
        if not augment:
            self._refuse_unused(op)
            self._options |= {"padding": 0, "flip": False}

    def part_of(self, rank: int, size: int) -> "BatchLoader":
        """Return the loader of one rank of ``size`` that share the batches.

        Batches, their order, augmentation and mixing stay those of all ranks together;
        of each batch it yields the rows `odyssey.distributed.rows.rows_of`.
        """
        size = check_int("BatchLoader.part_of", "size", size, minimum=1)
        rank = check_int("BatchLoader.part_of", "rank", rank, minimum=0)
        if rank >= size:
            raise ValueError(
                f"BatchLoader.part_of: rank must be less than size, {size}, got {rank}"
            )
        part = copy.copy(self)
        part._rank, part._size = rank, size
        return part

    @property
    def num_images(self) -> int:
        """Number of images of the set, on all ranks together."""
        return len(self._labels)

    def images_in(self, batch: int) -> int:
        """Return how many images a batch has, on all ranks together."""
        left = len(self._labels) - batch * self._batch_size
        return min(self._batch_size, left)

    @property
    def num_batches(self) -> int:
        """Number of batches in an epoch, a short last one included unless dropped."""
        if self._drop_last:
            return len(self._labels) // self._batch_size
        return compute_num_batches(len(self._labels), self._batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices of the samples in the order of this epoch, (N,) int64."""
        N = len(self._labels)
        if not self._shuffle:
            return np.arange(N)
        return permutation(N, seed=self._seed, stream=SHUFFLE_STREAM, epoch=epoch)

    def epoch(
        self, epoch: int, start_batch: int = 0, every: int = 1
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Return an iterator over the batches of an epoch, from ``start_batch`` on.

        Parameters
        ----------
        epoch : number of the epoch, at least 0
        start_batch : number of batches to skip, 0 to ``num_batches``
        every : 2 yields every second batch from there on, and so forth

        Yields
        ------
        x : (n, C, H, W), normalised, channels-last; each batch is a new array
        labels : (n,) int64; with mixing (n, K) of the dtype of x, rows that sum to 1
        """
        op = "BatchLoader.epoch"
        epoch = check_int(op, "epoch", epoch, minimum=0)
        start_batch = check_int(op, "start_batch", start_batch, minimum=0)
        every = check_int(op, "every", every, minimum=1)
        if start_batch > self.num_batches:
            raise ValueError(
                f"{op}: start_batch must be at most {self.num_batches}, "
                f"got {start_batch}"
            )
        # The generator is another function, so that the checks run now, not at next().
        return self._batches(self.order(epoch), epoch, start_batch, every)

    def _batches(
        self, order: np.ndarray, epoch: int, start_batch: int, every: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        size = self._batch_size
        for batch in range(start_batch, self.num_batches, every):
            yield self._batch(order[batch * size : (batch + 1) * size], epoch, batch)

    def _batch(
        self, indices: np.ndarray, epoch: int, batch: int
    ) -> tuple[np.ndarray, np.ndarray]:
        _, C, H, W = self._images.shape
        rows = rows_of(len(indices), self._rank, self._size)
        mixes = self._mixes and self._num_classes is not None
        # an image is mixed with the one before it, so that one is needed too
        neighbour = mixes and rows.stop - rows.start < len(indices)
        own = indices[rows]
        if neighbour:
            own = np.concatenate([indices[[rows.start - 1]], own])
        x = np.empty((len(own), H, W, C), self._dtype).transpose(0, 3, 1, 2)
        augment_batch(self._images, own, x, epoch=epoch, **self._options)
        labels = self._labels[own]
        if not mixes:
            return x, labels
        assert self._num_classes is not None  # it mixes
        mixed, targets = mix_batch(
            x, labels, self._num_classes, epoch=epoch, batch=batch, **self._mixing
        )
        return (mixed[1:], targets[1:]) if neighbour else (mixed, targets)

    def _refuse_unused(self, op: str) -> None:
        """Raise for options that have no effect without augmentation."""
        for name in ("cutout", "randaugment_ops"):
            if self._options[name]:
                raise ValueError(
                    f"{op}: {name} must be 0 without augment, got {self._options[name]}"
                )
