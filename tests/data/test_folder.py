"""Images in a folder for each class as a data set: pixels, statistics, errors."""

import io
import os
import re

import numpy as np
import pytest

from odyssey.cli import remedies as remedies  # the words that name options
from odyssey.data import folder
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD, CROP, DataError
from odyssey.data.folder import channel_statistics, load_folder
from odyssey.data.image_files import read_image
from odyssey.data.observer import Observer

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (20, 24, 24, 3), dtype=np.uint8)


class Said(Observer):
    """Keeps what it is told."""

    def __init__(self):
        self.messages, self.failures, self.counts = [], [], []

    def say(self, message):
        self.messages.append(message)

    def fail(self, message):
        self.failures.append(message)

    def begin(self, done, total):
        self.counts.append(total)

    def advance(self, count):
        self.counts.append(-count)


@pytest.fixture
def photos(tmp_path):
    """Fifteen images to train on and five to test on, of two classes."""
    for i, pixels in enumerate(PIXELS):
        part, name = ("train", "test")[i >= 15], ("even", "odd")[i % 2]
        (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / part / name / f"{i}.png")
    return tmp_path


def test_images_labels_and_statistics(photos):
    said = Said()
    data = load_folder(photos, 24, observer=said)
    assert data.class_names == ("even", "odd") and data.image_shape == (3, 24, 24)
    for images, labels, first, last in (
        (data.train_images, data.train_labels, 0, 15),
        (data.test_images, data.test_labels, 15, 20),
    ):
        assert images.dtype == np.uint8 and labels.dtype == np.int64
        assert images.transpose(0, 2, 3, 1).flags.c_contiguous
        places = [
            int(np.flatnonzero((image.transpose(1, 2, 0) == PIXELS).all((1, 2, 3)))[0])
            for image in images
        ]
        assert sorted(places) == [*range(first, last)] != places
        assert [place % 2 for place in places] == labels.tolist()
    scaled = PIXELS[:15].reshape(-1, 3) / 255
    assert data.mean == tuple(scaled.mean(0).round(4).tolist())
    assert data.std == tuple(scaled.std(0).round(4).tolist())
    assert data.val_images is None and data.fit == CROP
    first, second = said.messages
    assert re.fullmatch(
        rf"{re.escape(str(photos))}: 15 training, 5 test images of 2 classes "
        r"\(0 even, 1 odd\); read at [\d,]+ images/s",
        first,
    )
    numbers = [" ".join(f"{v:.4f}" for v in values) for values in (data.mean, data.std)]
    assert second == "red, green, blue of training: mean {}, deviation {}".format(
        *numbers
    )
    assert said.counts[0] == 20 == -sum(said.counts[1:])


def test_the_result_does_not_depend_on_the_threads(photos, monkeypatch):
    monkeypatch.setattr(folder, "CHUNK", 2)
    one, three = (load_folder(photos, 16, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one.train_images, three.train_images)
    np.testing.assert_array_equal(one.test_images, three.test_images)


def test_images_for_validation(photos):
    (photos / "train" / "even").rename(photos / "train" / "x")
    (photos / "val" / "odd").mkdir(parents=True)
    (photos / "train" / "x").rename(photos / "val" / "even")
    (photos / "train" / "even").mkdir()
    for i in (0, 2):
        (photos / "val" / "even" / f"{i}.png").rename(
            photos / "train" / "even" / f"{i}.png"
        )
    data = load_folder(photos, 24)
    assert data.val_images.shape == (6, 3, 24, 24)
    assert data.val_labels.tolist() == [0] * 6
    assert [len(data.train_labels), len(data.test_labels)] == [9, 5]


def test_only_the_parts_that_are_needed_are_read(photos):
    said = Said()
    data = load_folder(photos, 24, parts=("test",), observer=said)
    assert data.train_images.shape == (0, 3, 24, 24) and len(data.test_images) == 5
    assert (data.mean, data.std) == (CIFAR10_MEAN, CIFAR10_STD)
    assert len(said.messages) == 1 and ": 5 test images of" in said.messages[0]


def test_all_images_that_cannot_be_read_are_named_at_once(photos):
    even, odd = photos / "train" / "even", photos / "test" / "odd"
    whole = (even / "0.png").read_bytes()
    (even / "0.png").write_bytes(whole[:300])
    said = Said()
    with pytest.raises(DataError) as caught:
        load_folder(photos, 24, observer=said)
    assert said.failures == []
    assert str(caught.value).startswith(f"{even / '0.png'}: cannot be read as an image")
    (odd / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(30))
    (odd / "gone.jpg").symlink_to(odd / "none")
    with pytest.raises(DataError) as caught:
        load_folder(photos, 24, observer=said)
    names = [str(odd / "gone.jpg"), str(odd / "x.heic"), str(even / "0.png")]
    assert str(caught.value) == f"3 images cannot be read: {', '.join(names)}"
    first, second, third = said.failures
    assert first == f"{names[0]}: cannot be read: No such file or directory"
    assert second.startswith(f"{names[1]}: a HEIC photo; can be read: JPEG, PNG")
    assert third.startswith(f"{names[2]}: cannot be read as an image")


def test_an_observer_that_raises_stops_the_reading(photos, monkeypatch):
    monkeypatch.setattr(folder, "CHUNK", 1)
    read = []
    decode = folder.decode
    monkeypatch.setattr(
        folder, "decode", lambda path, *how: read.append(path) or decode(path, *how)
    )

    class Stops(Said):
        ended = False

        def advance(self, count):
            raise InterruptedError

        def end(self):
            self.ended = True

    stops = Stops()
    with pytest.raises(InterruptedError):
        load_folder(photos, 24, observer=stops)
    assert stops.ended and len(read) < 20


def test_images_that_do_not_fit_into_memory(photos, monkeypatch):
    monkeypatch.setattr(folder, "free_memory", lambda: 2**30)
    with pytest.raises(DataError) as caught:
        load_folder(photos, 4000)
    assert str(caught.value) == (
        f"{photos}: 20 images of 4000 x 4000 pixels need 0.9 GiB, of 1.0 GiB of free "
        "memory; a smaller --image-size needs less"
    )
    monkeypatch.setattr(folder, "free_memory", lambda: None)
    assert len(load_folder(photos, 8).train_images) == 15


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="not Linux")
def test_the_free_memory_is_part_of_the_memory():
    assert (
        2**20
        < folder.free_memory()
        < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    )


def test_statistics_are_exact_for_many_images():
    """In float32, sums of so many numbers near to each other would be wrong."""
    images = np.full((3000, 2, 32, 32), 200, np.uint8)
    images[::2, 0] = 201
    mean, std = channel_statistics(images.transpose(0, 1, 3, 2))
    assert mean == (round(200.5 / 255, 4), round(200 / 255, 4))
    assert std == (round(0.5 / 255, 4), round(1 / 255, 4))  # the second does not vary


def save(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


@pytest.mark.parametrize("wide", [True, False])
def test_the_middle_of_an_image_is_kept(tmp_path, wide):
    """Of 96 x 32 pixels the middle third, resized to 16 x 16 with its proportions."""
    pixels = np.full((32, 96, 3), 255, np.uint8)
    pixels[:, 32:64] = np.repeat(np.repeat(PIXELS[0, :16, :16], 2, 0), 2, 1)
    whole = Image.fromarray(np.ascontiguousarray(pixels[:, 32:64]))
    pixels = pixels if wide else pixels.transpose(1, 0, 2)
    path = save(tmp_path / "a.png", np.ascontiguousarray(pixels))
    read = read_image(path, (3, 16, 16), CROP)[0].transpose(1, 2, 0)
    read = read if wide else read.transpose(1, 0, 2)
    expected = np.asarray(whole.resize((16, 16), Image.Resampling.BICUBIC))
    # The resampling sees two pixels beyond the border, which is white here.
    np.testing.assert_array_equal(read[:, 2:-2], expected[:, 2:-2])


@pytest.mark.parametrize("size", [(31, 32), (1, 1), (1, 500), (333, 97), (32, 32)])
@pytest.mark.parametrize("side", [7, 32, 33])
def test_images_of_any_size(tmp_path, size, side):
    path = save(tmp_path / "a.png", np.full((*size, 3), (10, 20, 30), np.uint8))
    read = read_image(path, (3, side, side), CROP)
    assert read.shape == (1, 3, side, side)
    assert (read.reshape(3, -1).T == (10, 20, 30)).all()


def test_images_of_the_right_size_are_not_changed(tmp_path):
    path = save(tmp_path / "a.png", PIXELS[0])
    read = read_image(path, (3, 24, 24), CROP)
    np.testing.assert_array_equal(read[0].transpose(1, 2, 0), PIXELS[0])


def test_large_photos_are_decoded_small_and_look_the_same(tmp_path):
    """JPEG can be decoded at an eighth of its size, which takes far less time."""
    small = Image.fromarray(PIXELS[0]).resize((1200, 800), Image.Resampling.BICUBIC)
    small.save(tmp_path / "a.jpg", quality=95)
    small.save(tmp_path / "a.png")
    turned = small.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by the camera
    turned.save(tmp_path / "b.jpg", quality=95, exif=exif)
    expected = read_image(tmp_path / "a.png", (3, 32, 32), CROP).astype(int)
    for name in ("a.jpg", "b.jpg"):
        read = read_image(tmp_path / name, (3, 32, 32), CROP)
        assert abs(read - expected).mean() < 2  # of 255


def test_every_kind_of_colours(tmp_path):
    """Grey, palettes, transparency, CMYK and one bit: all become RGB, on white."""
    grey = np.ascontiguousarray(PIXELS[0, :, :, 0])
    clear = np.dstack([PIXELS[0], np.where(grey > 127, 255, 0).astype(np.uint8)])
    on_white = np.where(grey[..., None] > 127, PIXELS[0], 255)
    three = np.dstack([grey] * 3)
    few = Image.fromarray(PIXELS[0]).quantize(16)
    one = Image.fromarray(grey).convert("1")
    for name, image, expected in (
        ("grey.png", Image.fromarray(grey), three),
        ("grey.bmp", Image.fromarray(grey), three),
        ("clear.png", Image.fromarray(clear), on_white),
        ("clear.webp", Image.fromarray(clear), None),
        ("palette.png", few, np.asarray(few.convert("RGB"))),
        ("palette.gif", few, np.asarray(few.convert("RGB"))),
        ("one.png", one, np.dstack([np.asarray(one) * np.uint8(255)] * 3)),
        ("deep.png", Image.fromarray(grey.astype(np.uint16) * 257), three),
        ("cmyk.tif", Image.fromarray(255 - clear, "CMYK"), None),
    ):
        options = {"lossless": True} if name.endswith("webp") else {}
        image.save(tmp_path / name, **options)
        read = read_image(tmp_path / name, (3, 24, 24), CROP)[0].transpose(1, 2, 0)
        if expected is None:
            with Image.open(tmp_path / name) as file:
                expected = on_white if "webp" in name else file.convert("RGB")
        np.testing.assert_array_equal(read, np.asarray(expected), err_msg=name)


def test_grey_images_for_a_network_that_takes_those(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[0, :, :, 0].copy()).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    read = read_image(tmp_path / "a.png", (1, 24, 24), CROP)
    np.testing.assert_array_equal(read[0, 0], PIXELS[0, :, :, 0])


def test_postscript_is_not_run(tmp_path, monkeypatch):
    """Pillow would start Ghostscript for such a file, whatever its name."""
    from PIL import EpsImagePlugin

    started = []
    monkeypatch.setattr(
        EpsImagePlugin, "Ghostscript", lambda *what, **how: started.append(what)
    )
    program = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    (tmp_path / "a.png").write_text(program + "showpage\n")
    with pytest.raises(
        DataError, match=r"a\.png: not an image; can be read: JPEG, PNG"
    ):
        read_image(tmp_path / "a.png")
    assert started == []


def test_a_fit_that_there_is_not(tmp_path):
    with pytest.raises(ValueError, match=r"fit must be one of .*, got 'squeeze'"):
        read_image(tmp_path / "a.png", fit="squeeze")
