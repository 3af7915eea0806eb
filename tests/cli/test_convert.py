"""``odyssey convert``: every format into every other, and the names of tensors."""

import shlex
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

from odyssey.cli import conversion
from odyssey.cli import convert as program
from odyssey.cli.find_example import find_example
from odyssey.cli.main import main
from odyssey.formats.files import read_tensors, write_tensors
from odyssey.formats.names import from_odyssey
from odyssey.training.state import VELOCITY
from odyssey.weights.checkpoint import save_checkpoint
from odyssey.weights.folder import load_folder
from odyssey.weights.model import load_weights, save_weights

EXAMPLE = find_example("resnet18")
NETWORK = EXAMPLE.network
CONFIG = NETWORK.models["resnet18"]._replace(width=2, num_classes=3)
PARAMS, STATE = NETWORK.initialize(CONFIG, 0)
TENSORS = {**PARAMS, **STATE}
FOREIGN = from_odyssey(NETWORK, TENSORS, CONFIG)
SUFFIXES = [".pth", ".pt", ".th", ".safetensors", ".npz"]
NUMBERS = f"{sum(tensor.size for tensor in TENSORS.values()):,}"
ABOUT = {"dataset": "cifar10", "classes": ["cat", "ship", "dog"], "std": [0.5, 0.25, 1]}


def convert(*words, status=0):
    result = CliRunner().invoke(main, ["convert", *map(str, words)])
    assert result.exit_code == status, result.output
    return result


def same(found, expected):
    """Return whether tensors have the same names in one order, dtypes and bits."""
    return list(found) == list(expected) and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in zip(found.values(), expected.values(), strict=True)
    )


@pytest.fixture
def checkpoint(tmp_path):
    """A state dict as torchvision has it, with counters, of a small ResNet-18."""
    path = tmp_path / "model.pth"
    counters = {
        name.replace("running_var", "num_batches_tracked"): np.array(7)
        for name in FOREIGN
        if name.endswith("running_var")
    }
    write_tensors(path, {**FOREIGN, **counters}, {})
    return path


@pytest.fixture
def weights(tmp_path):
    """A folder that training wrote."""
    path = tmp_path / "weights"
    save_weights(NETWORK, PARAMS, STATE, CONFIG, path, {**ABOUT, "step": 12})
    return path


def test_a_checkpoint_of_pytorch_becomes_a_folder_that_loads(tmp_path, checkpoint):
    target = f"{tmp_path}/hex files/"
    lines = convert(checkpoint, "--to", target).stdout.splitlines()
    assert lines[0].startswith(f"{checkpoint}: PyTorch (zip), 122 tensors, ")
    assert lines[1:4] == [
        "note: 20 counters are left out (num_batches_tracked)",
        f"{target}: resnet18 of width 2, 102 tensors, {NUMBERS} numbers",
        "next:",
    ]
    folder = shlex.quote(target[:-1])
    assert lines[4] == f"  python -m odyssey verify {folder}"
    assert lines[5].endswith(
        f"resnet18_cifar10/inference.py --weights-dir {folder} --images PHOTO.png"
    )
    loaded = load_weights(NETWORK, target)
    assert same(loaded.params, PARAMS) and same(loaded.state, STATE)
    assert loaded.config == CONFIG


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_becomes_a_file_and_that_the_same_folder(tmp_path, weights, suffix):
    path, back = tmp_path / f"x{suffix}", tmp_path / "back"
    lines = convert(weights, "--to", path).stdout.splitlines()
    assert lines[0].startswith(f"{weights}: folder of hex files, 102 tensors, ")
    assert lines[1] == f"{path}: resnet18 of width 2, 102 tensors, {NUMBERS} numbers"
    assert lines[2].startswith("opens in Python with ") and repr(str(path)) in lines[2]
    assert lines[3:] == ["next:", f"  python -m odyssey info {path}"]
    found = read_tensors(path)
    assert same(found.tensors, FOREIGN)
    assert found.metadata["odyssey"]["model"] == "resnet18"
    convert(path, "--to", back)
    tensors, manifest = load_folder(back)
    assert same(tensors, TENSORS) and manifest == load_folder(weights).manifest


@pytest.mark.parametrize("first", SUFFIXES[1:])
@pytest.mark.parametrize("second", SUFFIXES[2:])
def test_names_of_another_tool_are_kept_from_file_to_file(tmp_path, first, second):
    rng = np.random.default_rng(0)
    tensors = {
        "encoder.0.weight": rng.standard_normal((3, 2)).astype(np.float32),
        "encoder.0.half": rng.standard_normal(3).astype(np.float16),
        "steps": np.array(3),
        "mask": np.array([True, False]),
    }
    write_tensors(tmp_path / f"a{first}", tensors, {"format": "pt"})
    lines = convert(tmp_path / f"a{first}", "--to", tmp_path / f"b{second}").stdout
    assert f"{tmp_path}/b{second}: 4 tensors, 12 numbers" in lines.splitlines()
    found = read_tensors(tmp_path / f"b{second}")
    assert same(found.tensors, tensors) and found.metadata == {"format": "pt"}


def test_the_tensors_of_an_unknown_model_go_into_a_folder_as_they_are(tmp_path):
    tensors = {
        "encoder.0.weight": np.ones((3, 2), np.float32),
        "half": np.ones(2, np.float16),
        "other.half": np.ones(2, ml_dtypes.bfloat16),
    }
    write_tensors(tmp_path / "a.pt", tensors, {"epoch": 3})
    lines = convert(tmp_path / "a.pt", "--to", tmp_path / "b").stdout.splitlines()
    assert lines[1] == (
        "note: names are kept, as no example has such a model; --model NAME lists what "
        "does not fit"
    )
    assert lines[2:4] == [
        "note: 2 tensors of 16 bits are widened to float32, which is exact",
        f"{tmp_path}/b: 3 tensors, 10 numbers",
    ]
    assert lines[-1] == f"  python -m odyssey info {tmp_path}/b"
    found = read_tensors(tmp_path / "b")
    assert same(found.tensors, {k: v.astype(np.float32) for k, v in tensors.items()})
    assert found.metadata == {"epoch": 3}


def test_why_a_model_is_not_possible_is_said(tmp_path):
    tensors = {**FOREIGN, "module.fc.bias": FOREIGN["fc.bias"]}
    write_tensors(tmp_path / "a.pt", tensors, {})
    lines = convert(tmp_path / "a.pt", "--to", tmp_path / "b").stdout.splitlines()
    assert lines[1].startswith("note: names are kept, as no example has such a model: ")
    assert "fc.bias and module.fc.bias are both fc.bias; --model NAME" in lines[1]


@pytest.mark.parametrize("names", ["encoder.0.weight", "weights"])
def test_a_folder_of_an_unknown_model_becomes_a_file(tmp_path, names):
    tensors = {names: np.arange(6.0).reshape(2, 3)}
    write_tensors(tmp_path / "a", tensors, {"epoch": 3, "odyssey": {"model": "mine"}})
    convert(tmp_path / "a", "--to", tmp_path / "b.pt")
    found = read_tensors(tmp_path / "b.pt")
    assert same(found.tensors, tensors)
    assert found.metadata == {"epoch": 3, "odyssey": {"model": "mine"}}


def test_counters_of_two_kinds_are_both_named(tmp_path):
    counters = dict.fromkeys(("n_averaged", "bn1.num_batches_tracked"), np.array(7))
    write_tensors(tmp_path / "a.pth", {**FOREIGN, **counters}, {})
    lines = convert(tmp_path / "a.pth", "--to", tmp_path / "b").stdout.splitlines()
    kinds = "num_batches_tracked, n_averaged"
    assert lines[1] == f"note: 2 counters are left out ({kinds})"


def test_half_precision_of_a_known_model_is_widened(tmp_path):
    halves = {name: t.astype(ml_dtypes.bfloat16) for name, t in FOREIGN.items()}
    write_tensors(tmp_path / "a.safetensors", halves, {})
    lines = convert(tmp_path / "a.safetensors", "--to", tmp_path / "b").stdout
    assert "note: 102 tensors of bfloat16 are widened to float32" in lines
    expected = {name: t.astype(ml_dtypes.bfloat16) for name, t in PARAMS.items()}
    found = load_weights(NETWORK, tmp_path / "b").params
    assert same(found, {k: v.astype(np.float32) for k, v in expected.items()})


def test_all_that_does_not_fit_the_model_is_said_and_nothing_written(tmp_path):
    tensors = dict(FOREIGN)
    tensors["fc.wieght"] = tensors.pop("fc.weight")
    tensors["conv1.weight"] = tensors["conv1.weight"][:1]
    del tensors["layer3.1.bn2.bias"]
    write_tensors(tmp_path / "a.pth", tensors, {})
    words = (tmp_path / "a.pth", "--to", tmp_path / "b", "--model", "resnet18")
    *lines, last = convert(*words, status=2).stderr.splitlines()
    assert last == (
        f"Error: {tmp_path}/a.pth: not the tensors of resnet18 of width 2: 2 missing, "
        "1 unexpected, 1 of another shape or dtype, all listed above"
    )
    text = "\n".join(lines)
    assert "fc.weight is missing (like it: fc.wieght)" in text
    assert "fc.wieght is unexpected" in text
    assert "layer3.1.bn2.bias is missing" in text
    assert "conv1.weight has shape (1, 3, 3, 3)" in text
    assert not (tmp_path / "b").exists()


def test_control_characters_in_names_are_escaped(tmp_path):
    tensors = {**FOREIGN, "a\x1b[31m\nb": np.ones(2, np.float32)}
    write_tensors(tmp_path / "a.safetensors", tensors, {})
    del tensors["fc.bias"]
    write_tensors(tmp_path / "c.safetensors", tensors, {})
    for name in "ac":
        words = (tmp_path / f"{name}.safetensors", "--to", f"{tmp_path}/b/")
        lines = convert(*words, "--model", "resnet18", status=2).stderr.splitlines()
        assert any(r"a\x1b[31m b is unexpected" in line for line in lines)
        assert not any("\x1b" in line for line in lines)


def test_the_model_that_a_file_names_counts(tmp_path):
    """With all but one tensor missing, the shapes are likest those of LeNet-5."""
    about = {"model": "resnet18", **CONFIG._asdict()}
    write_tensors(tmp_path / "a.npz", {"x": np.ones(2)}, {"odyssey": about})
    words = (tmp_path / "a.npz", "--to", tmp_path / "b.pth", "--names", "odyssey")
    last = convert(*words, status=2).stderr.splitlines()[-1]
    assert "a.npz: not the tensors of resnet18 of width 2: 102 missing, 1 un" in last
    about = {"model": "mine", "width": 3}
    write_tensors(tmp_path / "c.npz", {"x": np.ones(2)}, {"odyssey": about})
    lines = convert(tmp_path / "c.npz", "--to", tmp_path / "d").stdout.splitlines()
    assert lines[1].startswith(
        f"note: names are kept, as no example has such a model: {tmp_path}/c.npz: "
        "weights of the model 'mine', which no example has"
    )
    assert load_folder(tmp_path / "d").manifest["model"] == "mine"


def test_a_model_that_there_is_not_is_an_error_of_the_option(tmp_path, checkpoint):
    words = (checkpoint, "--to", tmp_path / "b", "--model", "resnet_18")
    reason = convert(*words, status=2).stderr
    assert "--model" in reason and "did you mean resnet18?" in reason


@pytest.mark.parametrize(
    "names, fully_connected", [("kuangliu", "linear.weight"), ("odyssey", "fc_weights")]
)
def test_names_can_be_chosen(tmp_path, checkpoint, names, fully_connected):
    path = tmp_path / "b.safetensors"
    convert(checkpoint, "--to", path, "--names", names)
    assert same(
        {"w": read_tensors(path).tensors[fully_connected]}, {"w": PARAMS["fc_weights"]}
    )
    convert(path, "--to", tmp_path / "c")
    assert same(load_weights(NETWORK, tmp_path / "c").params, PARAMS)


def test_names_of_a_folder_can_be_kept(tmp_path, weights):
    convert(weights, "--to", tmp_path / "b.npz", "--names", "keep")
    assert same(read_tensors(tmp_path / "b.npz").tensors, TENSORS)


def test_a_style_that_the_model_lacks_is_refused(tmp_path, checkpoint):
    words = (checkpoint, "--to", tmp_path / "b.pt", "--names", "tensorflow")
    assert convert(*words, status=2).stderr == (
        "Error: resnet18 of width 2 has no names 'tensorflow', but odyssey, keep, "
        "torchvision, kuangliu\n"
    )


def test_the_weights_of_a_run_s_checkpoint_are_converted(tmp_path):
    metadata = {
        "recipe": {"model": "resnet18", "width": 2, "dataset": "cifar10"},
        "counters": {"step": 5, "epoch": 1},
        "origin": ABOUT,
    }
    velocities = {f"{VELOCITY}{name}": t for name, t in PARAMS.items()}
    path = save_checkpoint(tmp_path / "run", 5, {**TENSORS, **velocities}, metadata)
    for number, source in enumerate((path, tmp_path / "run")):
        target = tmp_path / f"{number}.pth"
        convert(source, "--to", target)
        found = read_tensors(target)
        assert same(found.tensors, FOREIGN)
        assert found.metadata["odyssey"]["classes"] == ABOUT["classes"]
        assert found.metadata["odyssey"]["step"] == 5


def test_what_is_there_is_replaced_only_on_request(tmp_path, checkpoint, weights):
    old = tmp_path / "old.npz"
    old.write_bytes(b"old")
    assert convert(checkpoint, "--to", old, status=2).stderr == (
        f"Error: {old}: is there already; --force replaces it\n"
    )
    assert convert(checkpoint, "--to", weights, status=2).stderr == (
        f"Error: {weights}: holds weights already; --force replaces them\n"
    )
    assert old.read_bytes() == b"old" and load_folder(weights).manifest["step"] == 12
    for target in (old, weights):
        convert(checkpoint, "--to", target, "--force")
    assert "step" not in load_folder(weights).manifest
    assert same(load_folder(weights).tensors, TENSORS)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_file_is_not_converted_into_itself(checkpoint, force):
    content = checkpoint.read_bytes()
    words = (checkpoint, "--to", checkpoint, *force)
    assert "is what is to be read" in convert(*words, status=2).stderr
    assert checkpoint.read_bytes() == content


def test_a_suffix_of_no_format_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"nothing")
    reason = convert(tmp_path / "a", "--to", "b.onnx", status=2).stderr
    assert reason.startswith("Error: b.onnx: no format is known for .onnx: .pth, ")


def test_a_target_that_cannot_be_made_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"nothing")
    words = (tmp_path / "a", "--to", tmp_path / "none" / "x.npz")
    assert convert(*words, status=2).stderr == (
        f"Error: {tmp_path}/none/x.npz: there is no folder {tmp_path}/none\n"
    )
    (tmp_path / "file").write_bytes(b"")
    for target in ("file", "file/"):
        words = (tmp_path / "a", "--to", f"{tmp_path}/{target}", "--force")
        assert convert(*words, status=2).stderr == (
            f"Error: {tmp_path}/{target}: is a file; a folder of hex files cannot take "
            "its place\n"
        )


def test_a_target_that_cannot_be_written_is_a_failure(tmp_path, checkpoint):
    (tmp_path / "link.npz").symlink_to(tmp_path / "none" / "x.npz")
    words = (checkpoint, "--to", tmp_path / "link.npz", "--force")
    assert convert(*words, status=1).stderr == (
        f"Error: {tmp_path}/link.npz: No such file or directory\n"
    )


def test_progress_is_shown_on_a_terminal(tmp_path, checkpoint, monkeypatch):
    shown = []

    class Bar:
        def __init__(self, total, desc, **options):
            self.total, self.done = total, 0
            shown.append((desc, self))

        def update(self, count):
            self.done += count

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *error: None  # noqa: E731

    monkeypatch.setattr(program, "is_terminal", lambda stream: True)
    monkeypatch.setattr(program, "progress_bar", Bar)
    convert(checkpoint, "--to", tmp_path / "b")
    (reading, first), (writing, second) = shown
    assert (reading, writing) == ("reading", "writing")
    assert first.done == first.total == checkpoint.stat().st_size
    assert second.done == sum(tensor.nbytes for tensor in TENSORS.values())
    convert(checkpoint, "--to", tmp_path / "c", "--no-progress")
    assert len(shown) == 2


@pytest.mark.parametrize("target", ["x.pth", "x.safetensors", "x.npz", "x"])
def test_memory_is_little_more_than_the_file(tmp_path, target):
    config = CONFIG._replace(width=16)
    params, state = NETWORK.initialize(config, 0)
    source = tmp_path / "a.pth"
    write_tensors(source, from_odyssey(NETWORK, {**params, **state}, config), {})
    del params, state
    tracemalloc.start()
    try:
        file, known = conversion.open_source(str(source))
        conversion.convert(file, known, str(source), str(tmp_path / target))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = source.stat().st_size
    assert 0.9 * size < peak < 2.2 * size


def test_an_example_of_one_s_own_can_be_named(tmp_path, checkpoint):
    own = tmp_path / "my_resnet"
    own.mkdir()
    text = "from resnet18_cifar10.example import EXAMPLE, NETWORK\n"
    text += "models = {'mine': NETWORK.models['resnet18']}\n"
    text += "network = NETWORK._replace(models=models, model_name=lambda _: 'mine')\n"
    text += "EXAMPLE = EXAMPLE._replace(network=network)\n"
    (own / "example.py").write_text(text)
    lines = convert(checkpoint, "--to", tmp_path / "b", "--example", own).stdout
    assert f"{tmp_path}/b: mine of width 2, 102 tensors" in lines
    assert load_folder(tmp_path / "b").manifest["model"] == "mine"
    convert(checkpoint, "--to", tmp_path / "d", "--example", own, "--model", "mine")
    assert load_folder(tmp_path / "d").manifest["model"] == "mine"
    words = (checkpoint, "--to", tmp_path / "c", "--example", tmp_path)
    assert "no example: it has no example.py" in convert(*words, status=2).stderr


def test_metadata_that_is_not_odyssey_s_is_carried_beside_the_manifest(tmp_path):
    write_tensors(tmp_path / "a.pth", FOREIGN, {"model": "theirs", "epoch": 3})
    convert(tmp_path / "a.pth", "--to", tmp_path / "b")
    assert load_folder(tmp_path / "b").manifest["model"] == "resnet18"
    convert(tmp_path / "b", "--to", tmp_path / "c.pth")
    metadata = dict(read_tensors(tmp_path / "c.pth").metadata)
    assert metadata.pop("odyssey")["model"] == "resnet18"
    assert metadata == {"model": "theirs", "epoch": 3}


def test_an_odyssey_key_that_is_no_manifest_does_no_harm(tmp_path):
    write_tensors(tmp_path / "a.safetensors", FOREIGN, {"odyssey": "1"})
    convert(tmp_path / "a.safetensors", "--to", tmp_path / "b")
    assert same(load_weights(NETWORK, tmp_path / "b").params, PARAMS)


def test_the_usual_names_without_a_table_are_odyssey_s():
    plain = EXAMPLE._replace(network=NETWORK._replace(foreign=None))
    known = conversion.Known(TENSORS, plain, CONFIG)
    file = conversion.TensorFile("", FOREIGN, {})
    assert conversion._named(file, known, None) == ("odyssey", TENSORS)
