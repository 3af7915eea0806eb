import json

import numpy as np
import pytest
from programs import SMALL, rows_of, run_apart, run_here
from resnet18_cifar10.example import NETWORK
from tiny_cifar import write_tiny_cifar

from odyssey.cli.classify import make_predict
from odyssey.weights.model import LoadedWeights

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def weights(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("weights")
    places = ["--data-dir", data, "--weights-dir", directory]
    assert run_here("train", *places, *SMALL).exit_code == 0
    return directory


@pytest.fixture
def infer(data, weights):
    def infer(*more, weights_dir=weights, status=0):
        places = ["--data-dir", data, "--weights-dir", weights_dir]
        result = run_here("inference", *places, *more)
        assert result.exit_code == status, result.output
        return result.output

    return infer


def test_json_is_one_object_and_agrees_with_training(data, weights):
    places = ["--data-dir", data, "--weights-dir", weights]
    result = run_apart("inference", *places, "--json")
    assert result.returncode == 0, result.stderr
    values = json.loads(result.stdout)
    assert repr(values["accuracy"]) == rows_of(weights)[-1][5]
    assert repr(values["loss"]) == rows_of(weights)[-1][4]
    assert values["total"] == 20
    assert values["accuracy"] == values["correct"] / 20
    confusion = np.array(values["confusion"])
    assert confusion.shape == (10, 10)
    assert confusion.sum() == 20 and np.trace(confusion) == values["correct"]
    for k, row in enumerate(values["per_class"]):
        assert row["total"] == confusion[k].sum()
        assert row["correct"] == confusion[k, k]
    _, labels = write_tiny_cifar(data)["test_batch"]
    np.testing.assert_array_equal(
        confusion.sum(axis=1), np.bincount(labels, minlength=10)
    )


def test_results_do_not_depend_on_the_batch_size(infer):
    whole, parts = (json.loads(infer("--json", "--batch-size", n)) for n in (20, 3))
    assert whole["confusion"] == parts["confusion"]
    assert whole["loss"] == pytest.approx(parts["loss"], rel=1e-6)


def test_table_for_people(infer):
    output = infer("--limit", 13)
    assert "of 13), loss " in output
    lines = output.splitlines()
    assert sum(line.startswith("airplane") for line in lines) == 2
    matrix = lines[-10:]
    assert len({len(line) for line in matrix}) == 1
    assert sum(int(n) for line in matrix for n in line.split()[1:]) == 13


def test_tta_is_the_mean_over_the_mirror_image():
    def forward(params, state, x, config, training, *, folded):
        assert folded and not training
        return x[:, 0, 0, :2] * np.float32(1), None, None

    network = NETWORK._replace(
        forward=forward, fold=lambda params, state, config: params
    )
    model = LoadedWeights({}, {}, None, {}, True, "")
    x = np.arange(12, dtype="f4").reshape(1, 3, 1, 4)
    logits = make_predict(network, model, tta=True)(x)
    np.testing.assert_array_equal(logits, [[1.5, 1.5]])  # (0 + 3) / 2, (1 + 2) / 2
    assert logits.dtype == np.float32


def test_tta_of_the_program(infer):
    plain, mirrored = (json.loads(infer("--json", *tta)) for tta in ([], ["--tta"]))
    assert plain["loss"] != mirrored["loss"]
    assert mirrored["total"] == 20


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "b.jpg")
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "grey.png")
    clear = np.zeros((32, 32, 4), np.uint8)  # black, but transparent: on white
    Image.fromarray(clear).save(tmp_path / "clear.png")
    return tmp_path


def test_images(infer, pictures):
    files = [pictures / name for name in ("a.png", "b.jpg", "grey.png")]
    lines = infer("--images", *files).splitlines()
    assert len(lines) == 3
    for path, line in zip(files, lines, strict=True):
        assert line.startswith(f"{path}: ")
        assert line.count("%") == 3
    repeated = infer("--images", files[0], "--images", files[1], "--images", files[2])
    assert repeated.splitlines() == lines
    predictions = json.loads(infer("--json", "--images", *files))["predictions"]
    for path, prediction in zip(files, predictions, strict=True):
        assert prediction["file"] == str(path)
        p = [top["probability"] for top in prediction["top"]]
        assert p == sorted(p, reverse=True) and len(p) == 3 and 0 < sum(p) <= 1


def test_images_are_put_on_white_and_resized(pictures):
    from odyssey.data.image_files import read_image

    clear = read_image(pictures / "clear.png")
    assert clear.shape == (1, 3, 32, 32)
    assert clear.dtype == np.uint8 and (clear == 255).all()
    assert read_image(pictures / "b.jpg").shape == (1, 3, 32, 32)
    exact = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(exact).save(pictures / "exact.png")
    same = read_image(pictures / "exact.png")[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(same, exact)


def test_greys_of_more_than_eight_bits_are_scaled(pictures):
    from odyssey.data.image_files import read_image

    deep = np.random.default_rng(2).integers(0, 65536, (32, 32), dtype=np.uint16)
    deep[0, :2] = 0, 65535
    for name, greys in {
        "deep.png": deep,
        "deep.tif": deep,
        "int.tif": deep.astype(np.int32),
        "float.tif": deep.astype(np.float32) / 65535,
        "bytes.tif": deep.astype(np.float32) / 257,
    }.items():
        Image.fromarray(greys).save(pictures / name)
        read = read_image(pictures / name)[0, 0]
        np.testing.assert_array_equal(read, np.rint(deep / 257))


def test_files_that_are_no_images_are_named(infer, pictures):
    (pictures / "text.png").write_text("no image")
    (pictures / "short.png").write_bytes((pictures / "a.png").read_bytes()[:2000])
    for name in ("text.png", "short.png", "missing.png"):
        output = infer("--images", pictures / "a.png", pictures / name, status=2)
        assert str(pictures / name) in output.splitlines()[-1]


def test_missing_things(infer, tmp_path):
    output = infer(weights_dir=tmp_path / "nowhere", status=2)
    assert "train.py" in output
    output = infer("--data-dir", tmp_path / "nowhere", status=2)
    assert "python -m odyssey download --data-dir " in output
    assert "unexpected" in infer("stray.png", status=2)
