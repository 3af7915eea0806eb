"""Read image files for a network.

Pillow reads them (the extra ``odyssey-by-hand[images]``).  Its decoders raise errors of
many types for a damaged file; here all of them become a `DataError` that names it.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from odyssey.data.dataset import CROP, FITS, STRETCH, DataError
from odyssey.data.file_kinds import kind_of_file
from odyssey.errors import InputError, one_line

ORIENTATION = 0x0112  # EXIF's tag for how the camera was held
#: A photo is decoded at no less than this multiple of the size that it is resized to.
DRAFT = 3
#: Formats that messages name, if the installed Pillow reads them.
KINDS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")
#: Suffixes of photos that Pillow does not read, or not in every build.
PHOTOS = (".heic", ".heif", ".avif", ".webp", ".jxl", ".dng", ".cr2", ".nef", ".arw")


def read_image(
    path: str | os.PathLike,
    shape: tuple[int, int, int] = (3, 32, 32),
    fit: str = STRETCH,
) -> np.ndarray:
    """Return an image file as (1, C, H, W) uint8: upright, on white, resized.

    Parameters
    ----------
    path : the file
    shape : (C, H, W), where C is 3 for RGB and 1 for grey
    fit : how an image of other proportions is brought to H x W: "stretch" changes its
        proportions, "crop" resizes it until it just covers the area and keeps the
        middle

    Raises
    ------
    DataError
        If the file is missing, damaged or not an image.
    """
    if shape[0] not in (1, 3):
        raise ValueError(f"read_image: shape must have 1 or 3 channels, got {shape}")
    if fit not in FITS:
        raise ValueError(f"read_image: fit must be one of {FITS}, got {fit!r}")
    with _named_warnings(path):
        pixels = decode(path, shape, fit)
    return pixels[None].transpose(0, 3, 1, 2)


def decode(
    path: str | os.PathLike, shape: tuple[int, int, int], fit: str
) -> np.ndarray:
    """Return an image file as (H, W, C) uint8, see `read_image`.

    Pillow's warnings are not caught here, so that several threads can call it.
    """
    C, H, W = shape
    Image = _pillow()
    if not os.path.isfile(path) and os.path.exists(path):  # opening a pipe may block
        raise DataError(f"{path}: not a regular file")
    try:
        with Image.open(path, formats=_formats()) as file:
            if (
                fit == CROP
            ):  # a JPEG is decoded at 1/2, 1/4 or 1/8 of a much larger size
                file.draft(file.mode, (DRAFT * max(H, W),) * 2)
            image = _coloured(_upright(file), C)
            if fit == CROP:
                image = _cropped(image, W, H)
            else:
                image = image.resize((W, H), Image.Resampling.BICUBIC)
            return np.asarray(image).reshape(H, W, C)
    except Exception as error:
        raise DataError(f"{path}: {_why_unreadable(path, error)}") from error


def eight_bits(greys: np.ndarray) -> np.ndarray:
    """Return grey values of 16 or 32 bits as uint8.

    The value of white is not stored.  It is taken to be the first usual one that no
    value exceeds: 65535 or 2^31 - 1 for integers; 1, 255 or 65535 for floats.
    """
    greys = np.nan_to_num(greys)
    whites = (1, 255, 65535) if greys.dtype.kind == "f" else (65535, 2**31 - 1)
    white = next((w for w in whites if greys.max() <= w), whites[-1])
    return np.rint(greys * (255.0 / white)).clip(0, 255).astype(np.uint8)


def is_image(name: str) -> bool:
    """Tell by its suffix whether a file is an image.

    Photos that the installed Pillow cannot read are images too: to read them is an
    error, so that nobody misses them among the others.
    """
    return os.path.splitext(name)[1].lower() in _suffixes()


def kinds() -> str:
    """Return the names of the usual image formats that can be read here."""
    Image = _pillow()
    Image.init()
    return ", ".join(kind for kind in KINDS if kind in Image.OPEN)


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


def _coloured(image: Any, C: int) -> Any:
    """Return an image of 8 bits in RGB or, for one channel, grey; on white."""
    Image = _pillow()
    if image.mode[0] in "IF":  # greys that `convert` would cut off at 255
        image = Image.fromarray(eight_bits(np.asarray(image)))
    if image.mode not in ("RGB", "L") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB" if C == 3 else "L")


def _cropped(image: Any, W: int, H: int) -> Any:
    """Return the middle of an image, resized to W x H with its proportions kept."""
    width, height = image.size
    scale = min(width / W, height / H)
    left, top = (width - W * scale) / 2, (height - H * scale) / 2
    left, top = max(left, 0.0), max(top, 0.0)  # they may be rounded below 0
    box = left, top, min(left + W * scale, width), min(top + H * scale, height)
    return image.resize(
        (W, H), _pillow().Resampling.BICUBIC, box=box, reducing_gap=float(DRAFT)
    )


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
        return f"{kind or 'not an image'}; can be read: {kinds()}"
    reason = one_line(str(error), 200) or type(error).__name__
    return f"cannot be read as an image: {reason}"


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats to try, all but the one that is a program.

    EPS is PostScript, and Pillow runs Ghostscript to draw it, whatever the file's name.
    """
    Image = _pillow()
    Image.init()
    return tuple(kind for kind in Image.ID if kind != "EPS")


@cache
def _suffixes() -> frozenset[str]:
    """Return the suffixes of image files, in lower case."""
    registered = _pillow().registered_extensions().items()
    return frozenset(PHOTOS).union(
        suffix for suffix, kind in registered if kind in KINDS
    )
