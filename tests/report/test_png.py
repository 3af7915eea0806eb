import io

import numpy as np
import pytest
from PIL import Image

from odyssey.report.png import encode_png


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (5, 3, 3), (32, 32, 3)])
def test_pillow_reads_the_same_pixels(shape):
    image = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
    for given in (image, image[::-1], np.asfortranarray(image)):
        with Image.open(io.BytesIO(encode_png(given))) as read:
            assert read.format == "PNG"
            np.testing.assert_array_equal(np.asarray(read), given)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_other_arrays_are_refused(image):
    with pytest.raises(ValueError, match="encode_png: image must be uint8"):
        encode_png(image)
