"""inference.py with image files: unreadable ones, folders, unusual EXIF tags."""

import io
import json
import os
import struct

import numpy as np
import pytest
from click.testing import CliRunner
from lenet5_cifar10 import inference as lenet_inference
from lenet5_cifar10.model import NETWORK as LENET
from lenet5_cifar10.model import LeNetConfig
from programs import SMALL, change_manifest, run_here
from resnet18_cifar10.architecture import ResNetConfig, initialize
from resnet18_cifar10.example import NETWORK
from resnet18_cifar10.model import forward

from odyssey.cli.main import main as odyssey
from odyssey.data.dataset import CIFAR10_CLASSES, DataError
from odyssey.data.image_files import read_image
from odyssey.formats.files import write_tensors
from odyssey.formats.names import from_odyssey
from odyssey.ops.loss import softmax

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    directory = tmp_path_factory.mktemp("weights")
    limits = ["--dataset", "synthetic", "--limit-train", 16, "--limit-test", 16]
    options = ["--weights-dir", directory, *limits, *SMALL, "--epochs", 1]
    assert run_here("train", *options).exit_code == 0
    return directory


@pytest.fixture
def infer(weights):
    def infer(*more, status=0):
        places = ["--weights-dir", weights, "--threads", 1]
        result = run_here("inference", *places, *more)
        assert result.exit_code == status, result.output
        return result

    return infer


@pytest.fixture
def pictures(tmp_path):
    """A folder with images b.png, A.JPG and c.webp, and what is to be passed over."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    for name in ("b.png", "A.JPG", "c.webp"):
        Image.fromarray(pixels).save(folder / name)
    for name in ("notes.txt", ".hidden.png", "b.png.part"):
        (folder / name).write_text("no image")
    (folder / "folder.png").mkdir()
    return folder


def test_unreadable_files_do_not_hide_the_others(infer, pictures):
    bad, gone = pictures / "notes.txt", pictures / "gone.png"
    files = [pictures / "b.png", bad, gone, pictures / "A.JPG"]
    result = infer("--images", *files, status=2)
    alone = infer("--images", files[0], files[3])
    assert result.stdout == alone.stdout and len(alone.stdout.splitlines()) == 2
    assert alone.stderr == ""
    first, second = result.stderr.splitlines()
    assert first.startswith(f"Error: {bad}: not an image; can be read: JPEG, PNG, GIF")
    assert second == f"Error: {gone}: cannot be read: No such file or directory"

    result = infer("--json", "--images", *files, status=2)
    values = json.loads(result.stdout)
    assert [p["file"] for p in values["predictions"]] == [str(files[0]), str(files[3])]
    assert [e["file"] for e in values["errors"]] == [str(bad), str(gone)]
    assert values["errors"][1]["error"] == second.removeprefix("Error: ")
    assert result.stderr.splitlines() == [first, second]
    values = json.loads(infer("--json", "--images", *files[:1]).stdout)
    assert len(values["predictions"]) == 1 and values["errors"] == []


def test_all_unreadable(infer, pictures):
    result = infer("--json", "--images", pictures / "notes.txt", status=2)
    assert json.loads(result.stdout)["predictions"] == []


def test_a_folder_stands_for_the_images_in_it(infer, pictures, tmp_path):
    names = ["A.JPG", "b.png", "c.webp"]
    result = infer("--images", pictures)
    whole = infer("--images", *(pictures / name for name in names))
    assert result.stdout == whole.stdout
    lines = result.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(pictures / n) for n in names]

    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no image")
    result = infer("--images", empty, pictures / "b.png", status=2)
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr.startswith(
        f"Error: {empty}: no image files in this folder (JPEG, PNG, GIF, "
    )


def test_images_without_the_option_point_to_it(infer):
    result = infer("photo.jpg", "my cat.png", status=2)
    assert result.stderr.splitlines()[-1] == (
        "Error: Got unexpected extra argument; to classify images: "
        "--images photo.jpg 'my cat.png'"
    )


def test_without_cifar10_the_advice_fits_the_weights(infer, weights, tmp_path):
    place = ["--data-dir", tmp_path / "none"]
    (line,) = infer(*place, status=2).stderr.splitlines()
    assert line == (
        f"Error: {tmp_path / 'none'}: no such folder. "
        "These weights were trained on the synthetic set: --dataset synthetic"
    )
    download = f"python -m odyssey download --data-dir {tmp_path / 'none'}"
    try:
        for change in ([], {"dataset": "cifar10"}), (["dataset"], {}):
            change_manifest(weights, *change[0], **change[1])
            line = infer(*place, status=2).stderr.splitlines()[-1]
            assert line.endswith(f"no such folder. To download CIFAR-10: {download}")
            assert "synthetic" not in line
    finally:
        change_manifest(weights, dataset="synthetic")


def test_a_file_as_data_folder(infer, tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(b"\x80\x02")
    result = infer("--data-dir", path, status=2)
    assert f"{path}: a file, not the folder that the data lies in. " in result.stderr


def test_other_files_are_called_what_they_are(pictures):
    from odyssey.data.image_files import read_image

    os.mkfifo(pictures / "pipe.png")
    whole = (pictures / "b.png").read_bytes()
    for content, said in {
        b"version https://git-lfs.github.com/spec/v1\n": "a pointer of Git LFS",
        b"<html>log in": "a web page (HTML); can be read: JPEG, PNG",
        b"\0\0\0\x18ftypheic" + bytes(30): "a HEIC photo; can be read: JPEG, PNG",
        b"": "not an image; can be read: JPEG, PNG",
        whole[:12]: "cannot be read as an image: damaged (PNG image)",
        whole[:900]: "cannot be read as an image: ",
        None: "not a regular file",
    }.items():
        path = pictures / ("pipe.png" if content is None else "other.png")
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_image(path)
        assert str(caught.value).startswith(f"{path}: {said}")


def test_every_error_of_a_decoder_names_the_file(pictures, monkeypatch):
    from PIL import ImageFile

    from odyssey.data.image_files import read_image

    path = pictures / "b.png"
    for error in (
        RuntimeError("decoder"),
        struct.error("unpack requires"),
        TypeError(),
        EOFError(),
        MemoryError(),
        RecursionError("depth"),
        Image.DecompressionBombError("x" * 9999),
        ZeroDivisionError("division\nby zero"),
    ):

        def load(self, error=error):
            raise error

        monkeypatch.setattr(ImageFile.ImageFile, "load", load)
        with pytest.raises(DataError) as caught:
            read_image(path)
        message = str(caught.value)
        what = str(error)[:20].replace("\n", " ") or type(error).__name__
        assert message.startswith(f"{path}: cannot be read as an image: {what}")
        assert "\n" not in message and len(message) < len(str(path)) + 300


#: Dark on the left and bright on the right, and so from top to bottom in green.
RAMP = np.linspace(0, 255, 64).astype(np.uint8)
PICTURE = np.stack([np.tile(RAMP, (64, 1)), np.tile(RAMP[:, None], 64)] * 2, 2)[
    :, :, :3
]
#: How the camera turned the picture, by the orientation that it notes down.
HELD = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def exif(orientation, *tags, order="<"):
    """Return a block of EXIF with these tags: (number, type, count, value)."""
    entries, extra = [], b""
    start = 8 + 2 + 12 * (1 + len(tags)) + 4
    for tag, kind, count, value in [(0x0112, 3, 1, orientation), *tags]:
        if len(value) > 4:
            value, extra = struct.pack("<I", start + len(extra)), extra + value
        entries.append(struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0"))
    ifd = struct.pack("<H", len(entries)) + b"".join(sorted(entries))
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + ifd + b"\0" * 4 + extra


def jpeg(picture, block):
    plain = io.BytesIO()
    picture.save(plain, "JPEG", quality=95)
    data = plain.getvalue()
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    return data[:2] + segment + data[2:]


ODD = {
    "none": [],
    "a fraction as text": [(0x011A, 2, 6, b"72/1\0\0")],
    "a fraction as bytes": [(0x011A, 7, 4, b"abcd")],
    "a number as text": [(0x0100, 2, 3, b"64\0")],
    "an address as text": [(0x8825, 2, 3, b"no\0")],
    "a fraction of zero": [(0x829A, 10, 1, struct.pack("<ii", -1, 0))],
    "an unknown type": [(0x9000, 99, 1, b"abcd")],
    "too many values": [(0x9286, 7, 2**31, b"abcd")],
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("orientation", HELD)
def test_photos_are_upright_whatever_the_other_tags(
    tmp_path, orientation, odd, recwarn
):
    from odyssey.data.image_files import read_image

    upright, held = Image.fromarray(PICTURE), HELD[orientation]
    upright.save(tmp_path / "upright.png")
    block = exif(struct.pack("<HH", orientation, 0), *ODD[odd])
    photo = upright if held is None else upright.transpose(held)
    (tmp_path / "photo.jpg").write_bytes(jpeg(photo, block))
    expected = read_image(tmp_path / "upright.png").astype(int)
    difference = read_image(tmp_path / "photo.jpg") - expected
    assert abs(difference).mean() < 2  # of 255, by the compression
    assert [str(w.message) for w in recwarn] == []


@pytest.mark.parametrize("orientation", [b"\0\0", b"\x09\0", b"\xff\xff"])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path, orientation):
    from odyssey.data.image_files import read_image

    upright = Image.fromarray(PICTURE)
    upright.save(tmp_path / "upright.png")
    (tmp_path / "photo.jpg").write_bytes(jpeg(upright, exif(orientation)))
    expected = read_image(tmp_path / "upright.png").astype(int)
    assert abs(read_image(tmp_path / "photo.jpg") - expected).mean() < 2


def test_warnings_name_the_file(tmp_path, monkeypatch):
    from odyssey.data.image_files import read_image

    Image.fromarray(PICTURE).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.warns(Image.DecompressionBombWarning) as caught:
        assert read_image(tmp_path / "large.png").shape == (1, 3, 32, 32)
    assert str(caught[0].message).startswith(f"{tmp_path / 'large.png'}: Image size (")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(
        DataError, match=r"large\.png: cannot be read as an image: Image"
    ):
        read_image(tmp_path / "large.png")


@pytest.mark.filterwarnings("ignore")  # of Pillow, about what is damaged
def test_random_damage_is_an_error_that_names_the_file(tmp_path):
    from odyssey.data.image_files import read_image

    rng = np.random.default_rng(0)
    small = Image.fromarray(PICTURE).resize((16, 16))
    for kind in ("png", "jpg", "gif", "webp", "bmp", "tif"):
        small.save(tmp_path / f"whole.{kind}")
        raw = (tmp_path / f"whole.{kind}").read_bytes()
        path = tmp_path / f"damaged.{kind}"
        for _ in range(40):
            changed = bytearray(raw[: rng.integers(40, 2 * len(raw))])
            # Not at the start, where sizes stand: gigantic images take their time.
            for place in rng.integers(30, len(changed), 4):
                changed[place] = rng.integers(256)
            path.write_bytes(changed)
            try:
                assert read_image(path).shape == (1, 3, 32, 32)
            except DataError as error:
                assert str(error).startswith(f"{path}: ")


def test_another_tools_classes_have_names_only_if_the_data_set_is_named(
    pictures, tmp_path
):
    """A network of 10 classes may be for digits, or one's own photos."""
    config = ResNetConfig(width=2, blocks=(1, 1))
    params, state = initialize(config, 5)
    theirs = from_odyssey(NETWORK, params | state, config)
    file, folder, copy = tmp_path / "net.npz", tmp_path / "net", tmp_path / "net.pth"
    write_tensors(file, theirs, {})
    for source, target in ((file, folder), (folder, copy)):
        words = ["convert", str(source), "--to", str(target)]
        assert CliRunner().invoke(odyssey, words).exit_code == 0

    def classes(weights, *more):
        words = ["--weights-dir", weights, "--threads", 1, "--json", *more]
        result = run_here("inference", *words, "--images", pictures / "b.png")
        top = json.loads(result.stdout)["predictions"][0]["top"]
        return {row["label"]: row["class"] for row in top}, result.stderr

    warning = "are not given; their classes have no names\n"
    for weights in (file, folder, copy):
        found, said = classes(weights)
        assert found == {label: f"class {label}" for label in found} and warning in said
        found, said = classes(weights, "--dataset", "cifar10")
        assert found == {label: CIFAR10_CLASSES[label] for label in found}
        assert "Warning" not in said


def test_size_and_normalisation_of_another_tools_images(pictures, tmp_path):
    config = ResNetConfig(width=2, blocks=(1, 1), num_classes=3, stem="imagenet")
    params, state = initialize(config, 5)
    theirs = from_odyssey(NETWORK, params | state, config)
    write_tensors(tmp_path / "net.safetensors", theirs, {})
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    words = ["--weights-dir", tmp_path / "net.safetensors", "--threads", 1, "--json"]
    words += ["--mean", ",".join(map(str, mean)), "--std", ",".join(map(str, std))]
    words += ["--image-size", 48, "--images", pictures / "b.png"]
    result = run_here("inference", *words)
    assert result.exit_code == 0, result.output
    assert "Warning" not in result.stderr
    first = words[:5] + words[-2:]
    assert (
        "Warning: the weights do not say for what images they are: 32 x 32 pixels and "
        "CIFAR-10's mean and deviation where --image-size, --mean, --std are not given"
    ) in run_here("inference", *first).stderr
    x = read_image(pictures / "b.png", (3, 48, 48), "crop") / np.float32(255)
    x -= np.array(mean, np.float32)[:, None, None]
    x /= np.array(std, np.float32)[:, None, None]
    logits = forward(params, state, x, config, training=False)[0]
    top = json.loads(result.stdout)["predictions"][0]["top"]
    found = {row["label"]: row["probability"] for row in top}
    wanted = softmax(logits)[0]
    assert [found[k] for k in range(3)] == pytest.approx(list(wanted), abs=1e-5)
    wrong = run_here("inference", *words, "--mean", "0.5")
    assert wrong.exit_code == 2 and "--mean: 1 numbers for 3 channels" in wrong.output
    words[0:2] = ["--weights-dir", tmp_path / "net.safetensors", "--dataset", "cifar10"]
    words[words.index("--images") :] = []
    wrong = run_here("inference", *words)
    assert (
        wrong.exit_code == 2 and "--image-size is for --dataset folder" in wrong.output
    )


def test_a_network_for_images_of_one_size(pictures, tmp_path):
    write_tensors(tmp_path / "net.npz", LENET.initialize(LeNetConfig(), 0)[0], {})
    words = ["--weights-dir", tmp_path / "net.npz", "--image-size", 48]
    words += ["--threads", 1, "--images", pictures / "b.png"]
    result = CliRunner().invoke(lenet_inference.main, [str(word) for word in words])
    assert result.exit_code == 2
    assert "Error: lenet5 takes no images of 3 x 48 x 48 (" in result.output
