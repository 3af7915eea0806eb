"""``odyssey export``: whose weights it finds, what it writes and says, its errors."""

import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from described import drawn
from onnx.reference import ReferenceEvaluator

from odyssey import load_tensor, save_tensor
from odyssey.cli.main import main
from odyssey.weights.checkpoint import save_checkpoint
from odyssey.weights.model import save_weights

pytestmark = pytest.mark.usefixtures("one_thread")

ORIGIN = {
    "dataset": "mine",
    "classes": ["cat", "dog", "émeu"],
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2, 0.25, 0.3],
    "step": 12,
    "epoch": 3,
}


def export(*words, status=0):
    result = CliRunner().invoke(main, ["export", *map(str, words)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def run(tmp_path):
    """A run's folder with weights; also returns images and their logits."""

    def run(name="resnet, basic"):
        network, config, params, state, x = drawn(name)
        folder = tmp_path / "run"
        save_weights(network, params, state, config, folder, ORIGIN)
        (folder / "recipe.yml").write_text("model: resnet18\nlr: 0.1\n")
        return folder, x, network.forward(params, state, x, config, False)[0]

    return run


def logits_of(path, images):
    return ReferenceEvaluator(onnx.load(path)).run(["logits"], {"images": images})[0]


@pytest.mark.parametrize(
    "name", ["resnet, basic", "resnet, no norm v2", "lenet5", "vgg16_bn", "speedrun"]
)
def test_the_example_is_found_by_the_name_of_the_model(name, run, tmp_path):
    folder, x, logits = run(name)
    path = tmp_path / "model.onnx"
    said = export("--weights-dir", folder, "--to", path)
    np.testing.assert_allclose(logits_of(path, x), logits, rtol=1e-4, atol=1e-5)
    first, *_ = said.splitlines()
    assert first.startswith(f"{path}: ") and first.endswith("ONNX opset 17, IR 8")


def test_what_the_file_and_the_program_say(run, tmp_path):
    folder, *_ = run()
    path = tmp_path / "model.onnx"
    lines = export("--weights-dir", folder, "--to", path).splitlines()
    assert lines[0].startswith(f"{path}: resnet of width 3, 0.0 MiB, ONNX opset 17")
    assert lines[1:4] == [
        "input   images  float32 (N, 3, 32, 32), RGB, (image / 255 - mean) / std",
        "                mean 0.5000 0.4000 0.3000; std 0.2000 0.2500 0.3000",
        "output  logits  float32 (N, 4): cat, dog, émeu",
    ]
    assert lines[4:6] == ["next:", "  pip install onnxruntime"]
    found = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert found.pop("odyssey_version")
    options = json.loads(found.pop("options"))
    assert options["width"] == 3 and options["blocks"] == [1, 2]
    assert found == {
        "model": "resnet",
        "dataset": "mine",
        "classes": '["cat", "dog", "émeu", "class 3"]',
        "mean": "[0.5, 0.4, 0.3]",
        "std": "[0.2, 0.25, 0.3]",
        "image_shape": "[3, 32, 32]",
        "image_fit": "stretch",
        "recipe": "model: resnet18\nlr: 0.1\n",
        "step": "12",
        "epoch": "3",
    }


def test_pictures_a_fixed_number_and_batch_norms(run, tmp_path):
    folder, x, logits = run()
    path = tmp_path / "model.onnx"
    options = ["--uint8-input", "--batch-size", 3, "--keep-batch-norm"]
    lines = export("--weights-dir", folder, "--to", path, *options).splitlines()
    assert lines[1] == "input   images  uint8 (3, 32, 32, 3), RGB, 0 to 255"
    assert lines[2] == "output  logits  float32 (3, 4): cat, dog, émeu"
    mean, std = (np.array(ORIGIN[name])[:, None, None] for name in ("mean", "std"))
    pictures = np.rint((x * std + mean) * 255).clip(0, 255).astype(np.uint8)
    network, config, params, state, _ = drawn("resnet, basic")
    normalised = ((pictures / 255 - mean) / std).astype(np.float32)
    logits, *_ = network.forward(params, state, normalised, config, False)
    found = logits_of(path, np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert operators.count("BatchNormalization") == len(state) // 2


def test_the_images_may_be_others_than_the_manifest_says(run, tmp_path):
    folder, *_ = run("resnet, imagenet stem")
    path = tmp_path / "model.onnx"
    options = ["--image-size", 64, "--mean", ".4,.5,.6", "--std", "0.1, 0.2, 0.4"]
    both = ["--weights-dir", folder, "--to", path]
    lines = export(*both, *options).splitlines()
    assert lines[1].startswith("input   images  float32 (N, 3, 64, 64), RGB")
    assert lines[2].split() == (
        "mean 0.4000 0.5000 0.6000; std 0.1000 0.2000 0.4000".split()
    )
    found = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert found["mean"] == "[0.4, 0.5, 0.6]" and found["image_shape"] == "[3, 64, 64]"
    network, config, params, state, _ = drawn("resnet, imagenet stem")
    x = np.random.default_rng(3).standard_normal((2, 3, 64, 64)).astype(np.float32)
    logits, *_ = network.forward(params, state, x, config, False)
    np.testing.assert_allclose(logits_of(path, x), logits, rtol=1e-4, atol=1e-5)
    said = export(*both, "--mean", "1,2", status=2)
    assert "Error: --mean: 2 numbers for 3 channels" in said
    assert "0.0 is not in the range x>0" in export(*both, "--std", "1,1,0", status=2)
    assert "'x' is not a" in export(*both, "--mean", "1,1,x", status=2)


def test_weights_of_a_checkpoint_are_found(run, tmp_path):
    folder, x, logits = run()
    network, config, params, state, _ = drawn("resnet, basic")
    counters = {"step": 7, "epoch": 1}
    recipe = {"model": network.name_of(config), "dataset": "mine"}
    options = config._asdict()
    del options["num_classes"]
    metadata = {"recipe": {**recipe, **options}, "counters": counters}
    place = save_checkpoint(folder, 7, {**params, **state}, metadata)
    for file in [*folder.glob("*.weights"), folder / "manifest.json"]:
        file.unlink()
    path = tmp_path / "model.onnx"
    for weights_dir in (folder, folder / "checkpoints", place):
        said = export("--weights-dir", weights_dir, "--to", path)
        assert f"weights of the checkpoint {place}: step 7" in said
        np.testing.assert_allclose(logits_of(path, x), logits, rtol=1e-4, atol=1e-5)
        found = {p.key: p.value for p in onnx.load(path).metadata_props}
        assert (found["step"], found["recipe"]) == ("7", "model: resnet18\nlr: 0.1\n")
        path.unlink()


@pytest.mark.parametrize("name", ["resnet, basic", "alexnet", "vgg16_bn"])
def test_without_a_manifest_the_shapes_tell(name, run, tmp_path):
    folder, x, logits = run(name)
    (folder / "manifest.json").unlink()
    path = tmp_path / "model.onnx"
    assert "no manifest.json" in export("--weights-dir", folder, "--to", path)
    np.testing.assert_allclose(logits_of(path, x), logits, rtol=1e-4, atol=1e-5)


def test_an_example_of_ones_own(run, tmp_path):
    folder, x, logits = run("lenet5")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["model"] = "mine"
    del manifest["manifest_sha256"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    path = tmp_path / "model.onnx"
    said = export("--weights-dir", folder, "--to", path, status=2)
    assert f"Error: {folder}: no example of Odyssey has 'mine'; --example names" in said
    own = tmp_path / "my_lenet"
    own.mkdir()
    text = "from lenet5_cifar10 import model\n"
    text += "from odyssey.cli.example import Example\n"
    text += "network = model.NETWORK._replace(models={'mine': model.LeNetConfig()})\n"
    text += "EXAMPLE = model.EXAMPLE._replace(network=network)\n"
    (own / "model.py").write_text(text)
    export("--weights-dir", folder, "--to", path, "--example", own)
    np.testing.assert_allclose(logits_of(path, x), logits, rtol=1e-4, atol=1e-5)
    none = export("--weights-dir", folder, "--to", path, "--example", folder, status=2)
    assert f"Error: {folder}: no example: it has no example.py" in none


def test_errors_leave_the_old_file_as_it_was(run, tmp_path):
    folder, *_ = run()
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")

    def fails(message, *words, status=2):
        assert message in export(*words, status=status)
        assert path.read_bytes() == b"before"

    both = ["--weights-dir", folder, "--to", path]
    fails(
        "no such folder or file of weights",
        "--weights-dir",
        tmp_path / "no",
        "--to",
        path,
    )
    fails("must end in .onnx", "--weights-dir", folder, "--to", tmp_path / "m.pb")
    fails("holds no weights and no checkpoints", "--weights-dir", tmp_path, *both[2:])
    missing = tmp_path / "none" / "m.onnx"
    fails("No such file", "--weights-dir", folder, "--to", missing, status=1)
    fails("Missing option", "--to", path)

    kernel = folder / "conv1_kernel.weights"
    kept = kernel.read_bytes()
    kernel.write_bytes(kept[:-9])
    fails("conv1_kernel", *both)
    array = load_tensor_of(kept, tmp_path)
    array[0, 0, 0, 0] = np.nan
    save_tensor(array, kernel, "conv1_kernel")
    (folder / "manifest.json").unlink()
    fails("conv1_kernel", *both)
    export(*both, "--allow-nonfinite")


def load_tensor_of(content, folder):
    path = folder / "conv1_kernel.weights"
    path.write_bytes(content)
    return load_tensor(path)


def test_weights_without_running_statistics(run, tmp_path):
    folder, *_ = run()
    (folder / "manifest.json").unlink()
    for file in folder.glob("*_running_*.weights"):
        file.unlink()
    said = export("--weights-dir", folder, "--to", tmp_path / "m.onnx", status=2)
    assert "Error: " in said and "without which a model cannot classify" in said
    assert not (tmp_path / "m.onnx").exists()


def test_images_that_the_network_does_not_take(run, tmp_path):
    folder, *_ = run("lenet5")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["image_shape"] = [3, 28, 28]
    del manifest["manifest_sha256"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    said = export("--weights-dir", folder, "--to", tmp_path / "m.onnx", status=2)
    assert f"Error: {folder}: fc1 takes shape (400,), but" in said
