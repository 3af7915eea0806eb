"""Random crop, horizontal flip and normalisation, from uint8 to a ready batch.

What a sample undergoes is a pure function of (seed, epoch, index of the sample): not
of the batch it stands in, its place there, the number of threads, or what was drawn
before.  So a run can be resumed anywhere without replaying anything.

The crop is the usual one: pad the *uint8* image by ``padding`` on all four sides, cut a
window of the original size out of it, each of the (2*padding + 1)^2 places being as
likely.  Padding with "zero" therefore means black pixels, which normalisation then
maps to ``-mean/std``, as with torchvision's ``RandomCrop`` before ``Normalize``;
"reflect" mirrors the image without doubling its edge, as NumPy's ``pad`` does.
"""

from collections.abc import Sequence

import numpy as np

from odyssey.checks import (
    check_array,
    check_floating,
    check_int,
    check_ndim,
    check_number,
    check_shape,
)
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.kernels.augment import crop_flip_normalize
from odyssey.layout import as_nhwc

#: The second word of the generator's key; the seed is the first.  Uses of randomness
#: that must not repeat each other's numbers have streams of their own.
AUGMENT_STREAM = 1

PAD_MODES = ("zero", "reflect")
MAX_PADDING = 2**31 - 1


def augment_batch(
    images: np.ndarray,
    indices: np.ndarray,
    out: np.ndarray,
    *,
    seed: int,
    epoch: int,
    padding: int = 4,
    mode: str = "zero",
    flip: bool = True,
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
) -> None:
    """Fill ``out`` with the images at ``indices``, randomly cut, flipped, normalised.

    ::

        cropped = pad(images[i], padding)[:, top : top+H, left : left+W]
        out     = (maybe_mirrored(cropped) / 255 - mean) / std

    Of the four words that ``numpy.random.Philox(key=(seed, AUGMENT_STREAM),
    counter=(0, i, epoch, 0))`` draws first, the remainder of the first divided by
    ``2*padding + 1`` is top, that of the second is left, and the highest bit of the
    third says whether to mirror.

    Parameters
    ----------
    images : (M, C, H, W) uint8, any memory order; channels-last is the fast one
    indices : (N,) integers, 0 to M - 1
    out : (N, C, H, W) float32 or float64, written; channels-last is the fast one
    seed : any integer of 64 bits, signed or unsigned (-1 and 2**64 - 1 are the same)
    epoch : 0 to 2**64 - 1
    padding : pixels on each side, at least 0
    mode : "zero" (black) or "reflect"
    flip : whether every second image, on average, is mirrored left to right
    mean, std : one number a channel, on the scale 0 to 1

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; nothing is written then.
    """
    op = "augment_batch"
    padding = check_int(op, "padding", padding, minimum=0)
    if padding > MAX_PADDING:
        raise ValueError(f"{op}: padding must be at most {MAX_PADDING}, got {padding}")
    if mode not in PAD_MODES:
        raise ValueError(f"{op}: mode must be one of {PAD_MODES}, got {mode!r}")
    if not isinstance(flip, (bool, np.bool_)):
        raise TypeError(f"{op}: flip must be a bool, got {type(flip).__name__}")
    key = (as_word(op, "seed", seed), np.uint64(AUGMENT_STREAM))
    epoch = as_word(op, "epoch", check_int(op, "epoch", epoch, minimum=0))
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
    table = _pixel_table(op, out.dtype, images.shape[1], mean, std)
    options = (key, epoch, padding, mode == "reflect", bool(flip), table)
    _fill(images, indices, options, out)


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
    out : (N, C, H, W) float32 or float64, written
    mean, std : one number a channel, on the scale 0 to 1
    """
    op = "normalize_batch"
    check_array(op, "images", images)
    _check_images(op, images, out, len(images) if images.ndim else 0)
    table = _pixel_table(op, out.dtype, images.shape[1], mean, std)
    key = (np.uint64(0), np.uint64(AUGMENT_STREAM))
    options = (key, np.uint64(0), 0, False, False, table)  # no crop, no flip
    _fill(images, np.arange(len(images)), options, out)


def as_word(op: str, name: str, value: int) -> np.uint64:
    """Return an integer of 64 bits, signed or unsigned, as the word of its bits."""
    value = check_int(op, name, value, minimum=-(2**63))
    if value >= 2**64:
        raise ValueError(f"{op}: {name} must be less than 2**64, got {value}")
    return np.uint64(value % 2**64)


def _check_images(op: str, images: np.ndarray, out: np.ndarray, N: int) -> None:
    """Check the images that go in and the buffer for ``N`` of them."""
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
    images: np.ndarray, indices: np.ndarray, options: tuple, out: np.ndarray
) -> None:
    """Run the kernel, on copies of what is not channels-last, native and writeable."""
    rows = indices.astype(np.int64)
    source = images.transpose(0, 2, 3, 1)
    if not (source.flags.c_contiguous and source.flags.writeable):
        source = as_nhwc(images[rows])  # copies this batch, not the whole set
        rows = np.arange(len(rows))
    result = out.transpose(0, 2, 3, 1)
    ready = result.flags.c_contiguous and result.dtype.isnative
    buffer = result if ready else np.empty(result.shape, options[-1].dtype)
    crop_flip_normalize(source, rows, indices.astype(np.uint64), *options, buffer)
    if not ready:
        result[...] = buffer
