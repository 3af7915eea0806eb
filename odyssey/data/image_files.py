"""Read image files for a network, and classify them.

Pillow reads them (the extra ``odyssey-by-hand[images]``).  Its decoders raise errors of
many types for a damaged file; here all of them become a `DataError` that names it.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from odyssey.data.augment import normalize_batch
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD, DataError
from odyssey.data.file_kinds import kind_of_file
from odyssey.errors import InputError, one_line
from odyssey.ops.loss import softmax

ORIENTATION = 0x0112  # EXIF's tag for how the camera was held
#: Formats that messages name, if the installed Pillow reads them.
KINDS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")


def read_image(
    path: str | os.PathLike, shape: tuple[int, int, int] = (3, 32, 32)
) -> np.ndarray:
    """Return an image file as (1, C, H, W) uint8: upright, on white, resized.

    Parameters
    ----------
    path : the file
    shape : (C, H, W), where C is 3 for RGB and 1 for grey

    Raises
    ------
    DataError
        If the file is missing, damaged or not an image.
    """
    C, H, W = shape
    if C not in (1, 3):
        raise ValueError(f"read_image: shape must have 1 or 3 channels, got {shape}")
    Image = _pillow()
    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe may block
        raise DataError(f"{path}: not a regular file")
    try:
        with _named_warnings(path), Image.open(path) as file:
            image = _upright(file)
            if image.mode[0] in "IF":  # greys that `convert` would cut off at 255
                image = Image.fromarray(eight_bits(np.asarray(image)))
            image = image.convert("RGBA")
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image)
            image = image.convert("RGB" if C == 3 else "L")
            image = image.resize((W, H), Image.Resampling.BICUBIC)
    except Exception as error:
        raise DataError(f"{path}: {_why_unreadable(path, error)}") from error
    return np.asarray(image).reshape(1, H, W, C).transpose(0, 3, 1, 2)


def eight_bits(greys: np.ndarray) -> np.ndarray:
    """Return grey values of 16 or 32 bits as uint8.

    The value of white is not stored.  It is taken to be the first usual one that no
    value exceeds: 65535 or 2^31 - 1 for integers; 1, 255 or 65535 for floats.
    """
    greys = np.nan_to_num(greys)
    whites = (1, 255, 65535) if greys.dtype.kind == "f" else (65535, 2**31 - 1)
    white = next((w for w in whites if greys.max() <= w), whites[-1])
    return np.rint(greys * (255.0 / white)).clip(0, 255).astype(np.uint8)


def files_of(path: str | os.PathLike) -> list[str]:
    """Return the image files in a folder, sorted by name, or the file ``path`` itself.

    Hidden files and subfolders are left out.

    Raises
    ------
    DataError
        If a folder cannot be read, or holds no image file.
    """
    if not os.path.isdir(path):
        return [os.fspath(path)]
    suffixes = _suffixes()
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    files = [
        os.path.join(path, name)
        for name in names
        if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
    ]
    files = [file for file in files if not os.path.isdir(file)]
    if not files:
        raise DataError(f"{path}: no image files in this folder ({_kinds()})")
    return files


def classify_files(
    paths: Iterable[str | os.PathLike],
    predict: Callable,
    classes: Sequence[str],
    dtype: np.dtype,
    *,
    image_shape: tuple[int, int, int] = (3, 32, 32),
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
) -> Iterator[dict[str, Any]]:
    """Yield the three most probable classes of each image file, or its error.

    Parameters
    ----------
    paths : files, or folders of them
    predict : normalised images (1, C, H, W) of ``dtype`` to logits (1, K)
    classes : K names
    dtype : float32 or float64
    image_shape : (C, H, W) that images are resized to, see `read_image`
    mean, std : of each channel, for the normalisation

    Yields
    ------
    result : {"file", "top"}, where "top" lists {"class", "label", "probability"}, or
        {"file", "error"}
    """
    for path in paths:
        try:
            files = files_of(path)
        except DataError as error:
            yield {"file": os.fspath(path), "error": str(error)}
            continue
        for file in files:
            try:
                image = read_image(file, image_shape)
            except DataError as error:
                yield {"file": file, "error": str(error)}
                continue
            x = np.empty(image.shape, dtype)
            normalize_batch(image, x, mean, std)
            p = softmax(predict(x))[0]  # (K,)
            top = [
                {"class": classes[k], "label": int(k), "probability": number(p[k])}
                for k in np.argsort(-p, kind="stable")[:3]
            ]
            yield {"file": file, "top": top}


def number(value: float) -> float | None:
    """Return ``value``, or None for NaN and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None


def _pillow() -> ModuleType:
    """Return Pillow's module ``Image``."""
    try:
        from PIL import Image
    except ImportError:
        raise InputError(
            "image files need Pillow: pip install pillow "
            "(the extra odyssey-by-hand[images])"
        ) from None
    return Image


def _upright(image: Any) -> Any:
    """Return an open image turned as the camera was held.

    ``ImageOps.exif_transpose`` rewrites all EXIF tags, and fails if one is damaged.
    """
    image.load()
    turns = _pillow().Transpose
    try:
        orientation = image.getexif().get(ORIENTATION)
        turn = {
            2: turns.FLIP_LEFT_RIGHT,
            3: turns.ROTATE_180,
            4: turns.FLIP_TOP_BOTTOM,
            5: turns.TRANSPOSE,
            6: turns.ROTATE_270,
            7: turns.TRANSVERSE,
            8: turns.ROTATE_90,
        }.get(orientation)
    except Exception:  # damaged EXIF; the pixels are fine
        return image
    return image if turn is None else image.transpose(turn)


@contextlib.contextmanager
def _named_warnings(path: str | os.PathLike) -> Iterator[None]:
    """Add the file's name to the warning about a huge image; drop other warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if issubclass(warning.category, _pillow().DecompressionBombWarning):
            warnings.warn(f"{path}: {warning.message}", warning.category, stacklevel=4)


def _why_unreadable(path: str | os.PathLike, error: Exception) -> str:
    """Return the reason why Pillow cannot read a file."""
    from PIL import UnidentifiedImageError

    if reason := getattr(error, "strerror", None):
        return f"cannot be read: {reason}"
    if isinstance(error, UnidentifiedImageError):
        kind = kind_of_file(path)
        if kind.endswith(" image"):  # the first bytes are right, the rest is not
            return f"cannot be read as an image: damaged ({kind[2:]})"
        return f"{kind or 'not an image'}; can be read: {_kinds()}"
    reason = one_line(str(error), 200) or type(error).__name__
    return f"cannot be read as an image: {reason}"


def _kinds() -> str:
    """Return the names of the usual image formats that can be read here."""
    Image = _pillow()
    Image.init()
    return ", ".join(kind for kind in KINDS if kind in Image.OPEN)


def _suffixes() -> set[str]:
    """Return the suffixes of image files, in lower case."""
    Image = _pillow()
    return {
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in KINDS and kind in Image.OPEN
    }
