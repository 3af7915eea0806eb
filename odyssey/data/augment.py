"""Random crop, flip, RandAugment, normalisation and cutout: from uint8 to a batch.

The changes to a sample are a pure function of (seed, epoch, index of the sample).  They
do not depend on its batch, its position there, the number of threads, or earlier random
numbers.  So a run can be resumed anywhere without replaying anything.

The crop pads the *uint8* image by ``padding`` pixels on all four sides and cuts out a
window of the original size; all (2*padding + 1)^2 positions are equally likely.
Padding with "zero" therefore means black pixels, which normalisation maps to
``-mean/std``, as with torchvision's ``RandomCrop`` before ``Normalize``.  "reflect"
mirrors the image without repeating its edge, as NumPy's ``pad`` does.

Flips are "random", with probability 1/2 for each image in each epoch, or "alternating"
(Jordan 2024, arXiv:2404.00498): in the first epoch an image is mirrored with
probability 1/2, and later if it was not mirrored in the epoch before.  So two epochs in
a row show each image from both sides.

Cutout (DeVries and Taylor 2017, arXiv:1708.04552) sets a square to zero after the
normalisation, that is, to the mean colour.  Its centre can be any pixel, so parts of
the square may lie outside the image.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from odyssey.checks import (
    check_array,
    check_floating,
    check_int,
    check_ndim,
    check_number,
    check_shape,
)
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.data.randaugment import check_randaugment, randaugment
from odyssey.data.streams import AUGMENT_STREAM, as_counter, as_word
from odyssey.kernels.augment import (
    FLIP_ALTERNATING,
    FLIP_NONE,
    FLIP_RANDOM,
    crop_flip_normalize,
)
from odyssey.layout import as_nhwc

PAD_MODES = ("zero", "reflect")
FLIPS = {"none": FLIP_NONE, "random": FLIP_RANDOM, "alternating": FLIP_ALTERNATING}
MAX_PIXELS = 2**31 - 1  # of padding, or the side of a square
NO_CROP = (0, False, FLIP_NONE)  # padding, reflect, flip


class Changes(NamedTuple):
    """The changes to each image, named like the kernel's arguments."""

    key: tuple[np.uint64, np.uint64]  # seed and stream of the random numbers
    epoch: np.uint64
    padding: int
    reflect: bool
    flip: int  # of `FLIPS`
    cutout: int
    table: np.ndarray  # (256, C) new value of each pixel value


def augment_batch(
    images: np.ndarray,
    indices: np.ndarray,
    out: np.ndarray,
    *,
    seed: int,
    epoch: int,
    padding: int = 4,
    mode: str = "zero",
    flip: bool | str = True,
    cutout: int = 0,
    randaugment_ops: int = 0,
    randaugment_magnitude: int = 9,
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
) -> None:
    """Fill ``out`` with the images at ``indices``, randomly changed and normalised.

    ::

        cropped = pad(images[i], padding)[:, top : top+H, left : left+W]
        pixels  = randaugment(maybe_mirrored(cropped))
        out     = (pixels / 255 - mean) / std, zero in the square of cutout

    The random numbers of image i are the first 64-bit words of
    ``numpy.random.Philox(key=(seed, AUGMENT_STREAM), counter=(0, i, epoch, 0))``.
    Word 0 modulo ``2*padding + 1`` is top, word 1 modulo the same is left, and the
    highest bit of word 2 says whether to mirror.  Words 4 and 5, modulo H and W, are
    the centre of cutout.  Operation k of RandAugment uses words ``8 + 4*k`` and
    ``9 + 4*k``.

    Parameters
    ----------
    images : (M, C, H, W) uint8, any memory order; channels-last is the fast one
    indices : (N,) integers, 0 to M - 1
    out : (N, C, H, W) float32 or float64, filled; channels-last is the fast one
    seed : any integer of 64 bits, signed or unsigned (-1 and 2**64 - 1 are the same)
    epoch : 0 to 2**64 - 1
    padding : pixels on each side, at least 0
    mode : "zero" (black) or "reflect"
    flip : "random" or True, "alternating", "none" or False
    cutout : side of the square in pixels, 0 for none
    randaugment_ops : operations of RandAugment on each image, 0 for none; C must be 3
    randaugment_magnitude : their strength, 0 to 30
    mean, std : one number for each channel, on the scale 0 to 1

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid; nothing is written then.
    """
    op = "augment_batch"
    padding = _check_pixels(op, "padding", padding)
    if mode not in PAD_MODES:
        raise ValueError(f"{op}: mode must be one of {PAD_MODES}, got {mode!r}")
    crop = (padding, mode == "reflect", _check_flip(op, flip))
    cutout = _check_pixels(op, "cutout", cutout)
    key = (as_word(op, "seed", seed), np.uint64(AUGMENT_STREAM))
    counter = as_counter(op, "epoch", epoch)
    check_array(op, "indices", indices)
    if indices.dtype.kind not in "iu":
        raise TypeError(f"{op}: indices must be integers, got {indices.dtype}")
    check_ndim(op, "indices", indices, "(N,)")
    _check_images(op, images, out, len(indices))
    if indices.size and not 0 <= indices.min() <= indices.max() < len(images):
        raise ValueError(
            f"{op}: indices must be 0 to {len(images) - 1}, "
            f"got {indices.min()} to {indices.max()}"
        )
    C = images.shape[1]
    tables = check_randaugment(
        op, randaugment_ops, randaugment_magnitude, images.shape[1:]
    )
    table = _pixel_table(op, out.dtype, C, mean, std)
    rows = indices.astype(np.int64)
    if randaugment_ops:
        pixels = np.empty((len(rows), *images.shape[2:], C), np.uint8)
        unchanged = np.repeat(np.arange(256, dtype=np.uint8)[:, None], C, axis=1)
        cropped = pixels.transpose(0, 3, 1, 2)
        _fill(
            images, rows, indices, Changes(key, counter, *crop, 0, unchanged), cropped
        )
        randaugment(pixels, indices, key, counter, randaugment_ops, tables)
        images, rows, crop = cropped, np.arange(len(rows)), NO_CROP
    _fill(images, rows, indices, Changes(key, counter, *crop, cutout, table), out)


def normalize_batch(
    images: np.ndarray,
    out: np.ndarray,
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
) -> None:
    """Fill ``out`` with ``(images / 255 - mean) / std``.

    Parameters
    ----------
    images : (N, C, H, W) uint8, any memory order
    out : (N, C, H, W) float32 or float64, filled
    mean, std : one number for each channel, on the scale 0 to 1
    """
    op = "normalize_batch"
    check_array(op, "images", images)
    _check_images(op, images, out, len(images) if images.ndim else 0)
    table = _pixel_table(op, out.dtype, images.shape[1], mean, std)
    key = (np.uint64(0), np.uint64(AUGMENT_STREAM))
    rows = np.arange(len(images))
    _fill(images, rows, rows, Changes(key, np.uint64(0), *NO_CROP, 0, table), out)


def _check_pixels(op: str, name: str, value: int) -> int:
    """Check a number of pixels and return it."""
    value = check_int(op, name, value, minimum=0)
    if value > MAX_PIXELS:
        raise ValueError(f"{op}: {name} must be at most {MAX_PIXELS}, got {value}")
    return value


def _check_flip(op: str, flip: bool | str) -> int:
    """Return the kernel's number for a kind of flip."""
    if isinstance(flip, (bool, np.bool_)):
        return FLIPS["random" if flip else "none"]
    if not isinstance(flip, str):
        raise TypeError(f"{op}: flip must be a bool or str, got {type(flip).__name__}")
    if flip not in FLIPS:
        raise ValueError(f"{op}: flip must be one of {tuple(FLIPS)}, got {flip!r}")
    return FLIPS[flip]


def _check_images(op: str, images: np.ndarray, out: np.ndarray, N: int) -> None:
    """Check the images and the output buffer for ``N`` of them."""
    check_array(op, "images", images)
    if images.dtype != np.uint8:
        raise TypeError(f"{op}: images must be uint8, got {images.dtype}")
    check_ndim(op, "images", images, "(N, C, H, W)")
    check_floating(op, out=out)
    check_shape(op, "out", out, (N, *images.shape[1:]))
    if not out.flags.writeable:
        raise ValueError(f"{op}: out must be writeable, got a read-only array")
    if np.may_share_memory(images, out):
        raise ValueError(f"{op}: out must not overlap images in memory")


def _pixel_table(
    op: str, dtype: np.dtype, C: int, mean: Sequence[float], std: Sequence[float]
) -> np.ndarray:
    """Return the normalised value of every pixel value, (256, C).

    Computed in float64 and rounded once to the dtype of the batch.
    """
    moments = []
    for name, values in (("mean", mean), ("std", std)):
        low_open = name == "std"
        low = 0.0 if low_open else -np.inf
        if not isinstance(values, (Sequence, np.ndarray)) or isinstance(values, str):
            kind = type(values).__name__
            raise TypeError(f"{op}: {name} must be a sequence of numbers, got {kind}")
        numbers = [check_number(op, name, v, low, low_open=low_open) for v in values]
        if len(numbers) != C:
            raise ValueError(
                f"{op}: {name} must have one number a channel, {C}, got {len(numbers)}"
            )
        moments.append(np.array(numbers))
    pixels = np.arange(256)[:, None]
    return ((pixels / 255 - moments[0]) / moments[1]).astype(dtype.newbyteorder("="))


def _fill(
    images: np.ndarray,
    rows: np.ndarray,
    indices: np.ndarray,
    changes: Changes,
    out: np.ndarray,
) -> None:
    """Run the kernel; copy arrays that are not channels-last, native, writeable."""
    source = images.transpose(0, 2, 3, 1)
    if not (source.flags.c_contiguous and source.flags.writeable):
        source = as_nhwc(images[rows])  # copies this batch, not the whole set
        rows = np.arange(len(rows))
    result = out.transpose(0, 2, 3, 1)
    ready = result.flags.c_contiguous and result.dtype.isnative
    buffer = result if ready else np.empty(result.shape, changes.table.dtype)
    numbers = indices.astype(np.uint64)
    crop_flip_normalize(
        images=source, rows=rows, indices=numbers, **changes._asdict(), out=buffer
    )
    if not ready:
        result[...] = buffer


def kernel_calls(dtype: DTypeLike) -> list[partial]:
    """Return calls that together run every kernel of this module."""
    images = np.zeros((2, 3, 4, 4), np.uint8)
    out = np.empty(images.shape, dtype)
    augment = partial(augment_batch, images, np.arange(2), out, seed=0, epoch=0)
    return [
        partial(normalize_batch, images, out),
        augment,
        partial(augment, randaugment_ops=1),
    ]
