"""Layouts of images for augmentation, normalisation alone, and wrong arguments."""

import numpy as np
import pytest

from odyssey.data.augment import augment_batch, normalize_batch
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD

RNG = np.random.default_rng(0)
NHWC = RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
IMAGES = NHWC.transpose(0, 3, 1, 2)
INDICES = np.array([5, 0, 3, 3])
EMPTY = 99  # lies outside the normalised range
SEEDED = {"seed": 0, "epoch": 0}


def buffer(N=4, dtype=np.float32):
    return np.full((N, 8, 8, 3), EMPTY, dtype).transpose(0, 3, 1, 2)


def expected():
    out = buffer()
    augment_batch(IMAGES, INDICES, out, **SEEDED)
    assert (abs(out) < 3).all()
    return out


def read_only(array):
    array = array.copy().view()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "images",
    [
        np.ascontiguousarray(IMAGES),
        np.ascontiguousarray(IMAGES[:, :, ::-1])[:, :, ::-1],
        np.repeat(IMAGES, 2, axis=0)[::2],
        read_only(NHWC).transpose(0, 3, 1, 2),
        np.asfortranarray(IMAGES),
    ],
    ids=["NCHW", "upside down", "strided", "read-only", "Fortran"],
)
def test_images_in_any_memory_order(images):
    out = buffer()
    augment_batch(images, INDICES, out, **SEEDED)
    np.testing.assert_array_equal(out, expected())


@pytest.mark.parametrize(
    "out",
    [
        np.empty((4, 3, 8, 8), np.float32),
        np.empty((4, 3, 8, 8), ">f4"),
        np.empty((4, 3, 8, 16), np.float32)[..., ::-2],
        np.empty((8, 8, 8, 3), np.float32).transpose(0, 3, 1, 2)[::2],
    ],
    ids=["NCHW", "big-endian", "backwards", "strided"],
)
def test_results_into_any_buffer(out):
    augment_batch(IMAGES, INDICES, out, **SEEDED)
    np.testing.assert_array_equal(out, expected())


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">i8", np.uint64])
def test_indices_of_any_integer_dtype(dtype):
    out = buffer()
    augment_batch(IMAGES, INDICES.astype(dtype), out, **SEEDED)
    np.testing.assert_array_equal(out, expected())


def test_nothing_but_the_buffer_is_written():
    images, indices = NHWC.copy().transpose(0, 3, 1, 2), INDICES.copy()
    augment_batch(images, indices, buffer(), **SEEDED)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(indices, INDICES)


def test_an_empty_batch():
    augment_batch(IMAGES, INDICES[:0], buffer(0), **SEEDED)
    normalize_batch(IMAGES[:0], buffer(0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("images", [IMAGES, np.ascontiguousarray(IMAGES)])
def test_normalisation_is_rounded_once(images, dtype):
    out = buffer(6, dtype)
    normalize_batch(images, out)
    mean, std = (np.array(m)[:, None, None] for m in (CIFAR10_MEAN, CIFAR10_STD))
    np.testing.assert_array_equal(out, ((IMAGES / 255 - mean) / std).astype(dtype))


def test_statistics_of_ones_own():
    out = buffer(6)
    normalize_batch(IMAGES, out, [0.0, 0.5, 1.0], np.array([1.0, 2.0, 0.5]))
    np.testing.assert_allclose(out[:, 1], (IMAGES[:, 1] / 255 - 0.5) / 2, rtol=1e-6)
    np.testing.assert_allclose(out[:, 2], (IMAGES[:, 2] / 255 - 1) / 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    "changed, error, named",
    [
        ({"images": NHWC.astype(np.float32)}, TypeError, "images"),
        ({"images": NHWC.astype(np.int64)}, TypeError, "images"),
        ({"images": NHWC.tolist()}, TypeError, "images"),
        ({"images": IMAGES[0]}, ValueError, "images"),
        ({"indices": INDICES.astype(float)}, TypeError, "indices"),
        ({"indices": INDICES > 0}, TypeError, "indices"),
        ({"indices": INDICES.tolist()}, TypeError, "indices"),
        ({"indices": INDICES[:, None]}, ValueError, "indices"),
        ({"indices": np.array([0, 6, 1, 2])}, ValueError, "indices"),
        ({"indices": np.array([0, -1, 1, 2])}, ValueError, "indices"),
        ({"indices": np.array([0, 2**64 - 1, 1, 2], np.uint64)}, ValueError, "indices"),
        ({"indices": INDICES[:3]}, ValueError, "out"),
        ({"out": buffer()[:, :2]}, ValueError, "out"),
        ({"out": buffer(dtype=np.float16)}, TypeError, "out"),
        ({"out": buffer(dtype=np.int64)}, TypeError, "out"),
        ({"out": read_only(buffer())}, ValueError, "out"),
        ({"out": None}, TypeError, "out"),
        ({"seed": 0.0}, TypeError, "seed"),
        ({"seed": True}, TypeError, "seed"),
        ({"seed": 2**64}, ValueError, "seed"),
        ({"seed": -(2**63) - 1}, ValueError, "seed"),
        ({"epoch": -1}, ValueError, "epoch"),
        ({"epoch": 2**64}, ValueError, "epoch"),
        ({"epoch": 1.0}, TypeError, "epoch"),
        ({"padding": -1}, ValueError, "padding"),
        ({"padding": 2**62}, ValueError, "padding"),
        ({"padding": 4.0}, TypeError, "padding"),
        ({"mode": "edge"}, ValueError, "mode"),
        ({"mode": None}, ValueError, "mode"),
        ({"flip": 1}, TypeError, "flip"),
        ({"mean": (0.5,)}, ValueError, "mean"),
        ({"mean": 0.5}, TypeError, "mean"),
        ({"mean": ("0", "0", "0")}, TypeError, "mean"),
        ({"mean": (0.5, 0.5, float("nan"))}, ValueError, "mean"),
        ({"std": (0.5, 0.5, 0.0)}, ValueError, "std"),
        ({"std": (0.5, 0.5, -1.0)}, ValueError, "std"),
        ({"std": (0.5, 0.5, float("inf"))}, ValueError, "std"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_written(changed, error, named):
    out = buffer()
    arguments = {"images": IMAGES, "indices": INDICES, "out": out, **SEEDED, **changed}
    with pytest.raises(error, match=f"augment_batch: {named} must"):
        augment_batch(**arguments)
    assert (out == EMPTY).all()


def test_a_buffer_over_the_images_is_refused():
    memory = np.zeros(8 * 8 * 3 * 4 * 4, np.uint8)
    out = memory.view(np.float32).reshape(4, 8, 8, 3).transpose(0, 3, 1, 2)
    images = memory[: 4 * 8 * 8 * 3].reshape(4, 8, 8, 3).transpose(0, 3, 1, 2)
    with pytest.raises(ValueError, match="overlap"):
        normalize_batch(images, out)
    with pytest.raises(TypeError, match="normalize_batch: images"):
        normalize_batch(out, buffer())
