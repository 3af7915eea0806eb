"""A minimal PNG encoder for small pictures: eight bits a channel, no filter.

The format is ISO/IEC 15948, https://www.w3.org/TR/png-3/.
"""

import base64
import struct
import zlib

import numpy as np

_GREY, _RGB = 0, 2


def encode_png(image: np.ndarray) -> bytes:
    """Return an image as the bytes of a PNG file.

    Parameters
    ----------
    image : (H, W) grey, or (H, W, 3) red, green, blue; uint8
    """
    if image.dtype != np.uint8 or image.ndim < 2 or image.shape[2:] not in ((), (3,)):
        raise ValueError(
            f"encode_png: image must be uint8 (H, W) or (H, W, 3), "
            f"got {image.dtype} {image.shape}"
        )
    H, W = image.shape[:2]
    colour = _GREY if image.ndim == 2 else _RGB
    header = struct.pack(">IIBBBBB", W, H, 8, colour, 0, 0, 0)
    unfiltered = b"".join(b"\0" + row.tobytes() for row in image)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(unfiltered, 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Return length, kind, data and checksum."""
    return (
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )


def data_uri(planes: np.ndarray) -> str:
    """Return a picture (3, H, W), or grey (1, H, W), as a data URI for HTML.

    The URI contains the picture itself, so no file or network is needed to show it.
    """
    image = planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0)
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()
