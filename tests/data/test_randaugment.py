"""RandAugment against Pillow, torchvision, its twin, and cases worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from augmentation_twins import operate
from PIL import Image, ImageEnhance, ImageOps

from odyssey.data.cifar10 import load_cifar10
from odyssey.data.randaugment import (
    OPERATIONS,
    apply_operation,
    apply_operations,
    make_tables,
)

GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "randaugment.npz")
SIGNED = OPERATIONS[1:10]
AFFINE, NEAREST = Image.Transform.AFFINE, Image.Resampling.NEAREST
RNG = np.random.default_rng(0)
IMAGES = {
    "random": RNG.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8),
    "narrow range": RNG.integers(90, 140, (3, 3, 17, 23), dtype=np.uint8),
    "two values": RNG.choice(np.array([3, 210], np.uint8), (2, 3, 32, 32)),
    "one value": np.full((1, 3, 8, 8), 77, np.uint8),
    "tiny": RNG.integers(0, 256, (3, 3, 1, 2), dtype=np.uint8),
}


def by_pillow(image, operation, strength):
    """Return an image (3, H, W) after Pillow's operation of this signed strength."""
    image = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))

    def moved(*matrix):
        return image.transform(image.size, AFFINE, matrix, NEAREST)

    def enhanced(kind):
        return getattr(ImageEnhance, kind)(image).enhance(1 + strength)

    result = {
        "Identity": lambda: image,
        "ShearX": lambda: moved(1, strength, 0, 0, 1, 0),
        "ShearY": lambda: moved(1, 0, 0, strength, 1, 0),
        "TranslateX": lambda: moved(1, 0, -int(strength), 0, 1, 0),
        "TranslateY": lambda: moved(1, 0, 0, 0, 1, -int(strength)),
        "Rotate": lambda: image.rotate(strength, NEAREST),
        "Posterize": lambda: ImageOps.posterize(image, int(strength)),
        "Solarize": lambda: ImageOps.solarize(image, strength),
        "AutoContrast": lambda: ImageOps.autocontrast(image),
        "Equalize": lambda: ImageOps.equalize(image),
    }.get(operation, lambda: enhanced(operation))()
    return np.asarray(result).transpose(2, 0, 1)


def strength(operation, magnitude, negative, H, W):
    """Return torchvision's value of a magnitude, for images of H by W pixels."""
    strengths = GOLDEN[f"strengths_{operation}"]  # of 32 by 32 pixels
    value = strengths[magnitude].item() if strengths.ndim else 0.0
    if operation.startswith("Translate"):
        value *= (W if operation[-1] == "X" else H) / 32
    return -value if negative else value


def check_against_pillow(images, operation, magnitudes=range(31)):
    signs = (False, True) if operation in SIGNED else (False,)
    for magnitude in magnitudes:
        for negative in signs:
            value = strength(operation, magnitude, negative, *images.shape[2:])
            expected = [by_pillow(image, operation, value) for image in images]
            got = apply_operation(images, operation, magnitude, negative=negative)
            np.testing.assert_array_equal(got, expected, f"{magnitude} {negative}")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_equals_pillow_at_every_strength(operation):
    check_against_pillow(IMAGES["random"], operation)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES)
def test_equals_pillow_on_other_images(images, operation):
    check_against_pillow(images, operation, (0, 9, 20, 30))


def test_equals_pillow_on_photographs(cifar10_dir):
    images = load_cifar10(cifar10_dir).train_images[:20]
    for operation in OPERATIONS:
        check_against_pillow(images, operation, (3, 9, 20, 30))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_equals_torchvision(operation):
    names = [name for name in GOLDEN if name.startswith(f"{operation}_")]
    assert len(names) == (6 if operation in SIGNED else 3)
    for name in names:
        magnitude, negative = (int(word) for word in name.split("_")[1:])
        got = apply_operation(
            GOLDEN["image"][None], operation, magnitude, negative=bool(negative)
        )
        np.testing.assert_array_equal(got[0], GOLDEN[name], name)


@pytest.mark.parametrize("magnitude", [0, 9, 20, 30])
@pytest.mark.parametrize("shape", [(40, 3, 16, 21), (9, 3, 3, 3), (9, 3, 2, 5)])
def test_kernel_equals_its_twin(magnitude, shape):
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    choices = np.stack(
        [RNG.integers(0, 14, (len(images), 3)), RNG.integers(0, 2, (len(images), 3))],
        axis=-1,
    )
    tables = make_tables(magnitude, *shape[2:])
    got = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    apply_operations(got, choices, *tables)
    expected = [operate(*pair, tables) for pair in zip(images, choices, strict=True)]
    np.testing.assert_array_equal(got.transpose(0, 3, 1, 2), expected)


def one_row(operation, magnitude, *values, negative=False):
    """Return a row of grey pixels after an operation."""
    image = np.array(values, np.uint8)[None, None, None].repeat(3, axis=1)
    result = apply_operation(image, operation, magnitude, negative=negative)
    assert (result == result[:, :1]).all()  # still grey
    return result[0, 0, 0].tolist()


def test_by_hand():
    assert one_row("Brightness", 10, 0, 10, 100, 250) == [0, 13, 130, 255]  # * 1.3
    assert one_row("Brightness", 10, 10, 100, negative=True) == [7, 70]  # * 0.7
    assert one_row("Contrast", 10, 50, 150) == [35, 165]  # 100 -+ 65
    assert one_row("Color", 30, 50, 150) == [50, 150]  # already grey
    assert one_row("Posterize", 30, 15, 16, 255) == [0, 16, 240]  # 4 bits of 8
    assert one_row("Solarize", 15, 127, 128, 255) == [127, 127, 0]  # from 127.5 on
    assert one_row("AutoContrast", 9, 50, 100, 150) == [0, 127, 255]
    assert one_row("TranslateX", 30, *range(1, 6)) == [0, 0, 1, 2, 3]  # 2.27 pixels
    assert one_row("TranslateX", 30, *range(1, 6), negative=True) == [3, 4, 5, 0, 0]


def test_shears_and_turns_by_hand():
    """At most 0.3 pixels a row; 30 degrees anticlockwise."""
    column = np.zeros((1, 3, 10, 10), np.uint8)
    column[..., 5] = 1
    sheared = apply_operation(column, "ShearX", 30)[0, 0]
    # fetched from x + 0.3 * (y + 1/2): by 0, 0, 1, 1, 1, 2, 2, 2, 3, 3 columns
    assert sheared.argmax(axis=1).tolist() == [5, 5, 4, 4, 4, 3, 3, 3, 2, 2]
    assert (sheared.sum(axis=1) == 1).all()
    upright = column.swapaxes(2, 3)
    other = apply_operation(upright, "ShearY", 30)[0, 0]
    np.testing.assert_array_equal(other, sheared.T)
    dot = np.zeros((1, 3, 21, 21), np.uint8)
    dot[..., 10, 18] = 1  # 8 to the right of the centre
    turned = np.argwhere(apply_operation(dot, "Rotate", 30)[0, 0])
    np.testing.assert_allclose(turned.mean(axis=0), [10 - 4, 10 + 6.93], atol=1)


def test_equalize_by_hand():
    """512 pixels of 10, 256 of 20, 256 of 30: step 768 // 255 = 3."""
    image = np.repeat(np.array([10, 10, 20, 30], np.uint8), 256).reshape(1, 1, 32, 32)
    result = apply_operation(image.repeat(3, axis=1), "Equalize")
    assert np.unique(result).tolist() == [0, 171, 255]  # 1 // 3, 513 // 3, 769 // 3


def test_the_arguments_stay_as_they_were():
    for images in (IMAGES["random"], IMAGES["random"].transpose(0, 1, 3, 2)):
        before = images.copy()
        for operation in OPERATIONS:
            result = apply_operation(images, operation, 30)
            assert not np.may_share_memory(result, images)
        np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(
    "changed, error, named",
    [
        ({"images": IMAGES["random"].tolist()}, TypeError, "images"),
        ({"images": IMAGES["random"] / 255}, TypeError, "images"),
        ({"images": IMAGES["random"][0]}, ValueError, "images"),
        ({"images": IMAGES["random"][:, :1]}, ValueError, "images"),
        ({"operation": "Invert"}, ValueError, "operation"),
        ({"operation": None}, ValueError, "operation"),
        ({"magnitude": 31}, ValueError, "magnitude"),
        ({"magnitude": -1}, ValueError, "magnitude"),
        ({"magnitude": 9.0}, TypeError, "magnitude"),
        ({"negative": 1}, TypeError, "negative"),
    ],
)
def test_wrong_arguments_are_named(changed, error, named):
    arguments = {"images": IMAGES["random"], "operation": "Rotate", "magnitude": 9}
    with pytest.raises(error, match=f"apply_operation: {named} must"):
        apply_operation(**{**arguments, **changed})


def test_no_images():
    assert apply_operation(IMAGES["random"][:0], "Equalize").shape == (0, 3, 32, 32)
