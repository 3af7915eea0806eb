"""train.py begins with the weights of another model, from a file or a folder."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from lenet5_cifar10.model import NETWORK as LENET
from programs import assert_same_run, change_manifest, losses_of, run_here
from resnet18_cifar10.architecture import ResNetConfig, initialize
from resnet18_cifar10.example import NETWORK
from resnet18_cifar10.weights import save_weights
from speedrun_cifar10 import example as speedrun
from speedrun_cifar10 import train as speedrun_train
from speedrun_cifar10.architecture import SpeedrunConfig

from odyssey.cli.find_example import example_of
from odyssey.errors import InputError
from odyssey.formats.files import write_tensors
from odyssey.formats.names import from_odyssey
from odyssey.training.initial import begin_with, digest, head
from odyssey.training.saved_model import open_model
from odyssey.weights.model import load_weights

CONFIG = ResNetConfig(width=4)


def saved(path, config=CONFIG, names=None, **changes):
    """Write a model with other numbers than a fresh one's; return its tensors."""
    params, state = initialize(config, 7)
    tensors = {
        name: array + np.float32(0.1) for name, array in (params | state).items()
    }
    tensors |= changes
    if names is None:
        save_weights(
            {n: tensors[n] for n in params},
            {n: tensors[n] for n in state},
            config,
            path,
        )
    else:
        write_tensors(path, from_odyssey(NETWORK, tensors, config, names), {})
    return tensors


def fresh(config=CONFIG):
    params, state = initialize(config, 0)
    return params | state


@pytest.mark.parametrize("kind", ["folder", "torchvision", "kuangliu"])
def test_all_tensors_are_taken(tmp_path, kind, capsys):
    folder = kind == "folder"
    path = tmp_path / ("weights" if folder else "net.safetensors")
    theirs, tensors = saved(path, names=None if folder else kind), fresh()
    arrays = dict(tensors)
    found = begin_with(NETWORK, CONFIG, tensors, str(path))
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(tensors[name], tensor)
        assert tensors[name] is arrays[name]  # set where it is
    assert found == digest(theirs)
    captured = capsys.readouterr()
    assert captured.out == ""
    line = f"{path}: safetensors, resnet18 of width 4\n"
    assert captured.err == ("" if folder else line)


def test_the_head_is_made_anew_for_other_classes(tmp_path, capsys):
    theirs = saved(tmp_path, CONFIG._replace(num_classes=100))
    tensors, other = fresh(), fresh()
    begin_with(NETWORK, CONFIG, tensors, str(tmp_path))
    assert head(NETWORK, CONFIG) == ["fc_weights", "fc_bias"]
    for name, tensor in tensors.items():
        wanted = other if name in ("fc_weights", "fc_bias") else theirs
        np.testing.assert_array_equal(tensor, wanted[name], name)
    assert capsys.readouterr().out == (
        f"{tmp_path}: 100 classes, not 10: fc_weights, fc_bias are made anew\n"
    )


def test_doubles_are_rounded(tmp_path, capsys):
    path = tmp_path / "net.safetensors"
    theirs = {n: t.astype(np.float64) / 3 for n, t in saved(tmp_path / "a").items()}
    write_tensors(path, theirs, {})
    tensors = fresh()
    begin_with(NETWORK, CONFIG, tensors, str(path))
    for name, tensor in tensors.items():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, theirs[name].astype(np.float32))
    assert f"{path}: float64 is rounded to float32\n" in capsys.readouterr().out


def test_options_that_do_not_matter_may_differ(tmp_path):
    saved(tmp_path, CONFIG._replace(zero_gamma=True, dropout=0.5))
    begin_with(NETWORK, CONFIG._replace(drop_path=0.1), fresh(), str(tmp_path))


def test_a_network_with_other_options_is_refused(tmp_path):
    saved(tmp_path, ResNetConfig(width=3, blocks=(3, 4, 6, 3), stem="imagenet"))
    with pytest.raises(InputError) as error:
        begin_with(NETWORK, CONFIG, fresh(), str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path}: resnet34 of width 3, but resnet18 of width 4 is to be trained: "
        "width is 3, not 4; blocks is (3, 4, 6, 3), not (2, 2, 2, 2); "
        "stem is imagenet, not cifar"
    )


def test_what_is_missing_is_listed(tmp_path, capsys):
    path = tmp_path / "net.safetensors"
    theirs = from_odyssey(NETWORK, fresh(), CONFIG)
    theirs["head.bias"] = theirs.pop("bn1.bias")
    del theirs["layer1.0.bn1.weight"]
    write_tensors(path, theirs, {})
    with pytest.raises(ValueError, match="2 missing, 1 unexpected, all listed above"):
        begin_with(NETWORK, CONFIG, fresh(), str(path))
    assert capsys.readouterr().err.splitlines() == [
        "bn1.bias is missing",
        "layer1.0.bn1.weight is missing",
        "head.bias is unexpected",
    ]


def test_infinite_weights(tmp_path):
    saved(tmp_path, fc_bias=np.full(10, np.inf, np.float32))
    with pytest.raises(InputError, match="fc_bias"):
        begin_with(NETWORK, CONFIG, fresh(), str(tmp_path))
    begin_with(NETWORK, CONFIG, fresh(), str(tmp_path), allow_nonfinite=True)


def test_a_run_and_its_resume(train, tmp_path):
    path = tmp_path / "net.safetensors"
    saved(path, names="torchvision")
    straight = tmp_path / "straight"
    train("--init-from", path, "--max-steps", 4, weights_dir=straight)
    train("--init-from", path, "--max-steps", 2)
    path.unlink()  # nobody needs it any more
    output = train("--init-from", "other.pth", "--max-steps", 4, "--resume")
    assert "is resumed: --init-from does not count" in output
    run = tmp_path / "run"
    assert_same_run(run, straight)
    recipe = (run / "recipe.yml").read_text()
    assert recipe == (straight / "recipe.yml").read_text()
    assert f'init_from: "{path}"\n' in recipe
    assert "# Initial weights: sha256 " in recipe
    # the recipe repeats the run, without it another one begins
    saved(path, names="torchvision")
    again, other = tmp_path / "again", tmp_path / "other"
    train("--config", straight / "recipe.yml", "--max-steps", 4, weights_dir=again)
    assert_same_run(again, straight)
    train("--max-steps", 4, weights_dir=other)
    assert losses_of(other) != losses_of(straight)


def test_a_resume_of_nothing_begins_with_them(train, tmp_path):
    saved(tmp_path / "from")
    train("--init-from", tmp_path / "from", "--max-steps", 1, "--resume")
    other = tmp_path / "other"
    train("--init-from", tmp_path / "from", "--max-steps", 1, weights_dir=other)
    assert_same_run(tmp_path / "run", other)


def test_a_run_can_go_on_from_itself(train, tmp_path):
    train("--max-steps", 1)
    run = tmp_path / "run"
    train("--init-from", run, "--max-steps", 1, "--overwrite")
    assert f'init_from: "{run}"' in (run / "recipe.yml").read_text()


def test_no_such_file(train, tmp_path):
    output = train("--init-from", tmp_path / "net.pth", status=2)
    assert f"{tmp_path / 'net.pth'}: no such" in output
    assert not (tmp_path / "run" / "recipe.yml").exists()


def test_other_tools_call_it_pretrained():
    result = run_here("train", "--pretrained", "x.pth")
    assert result.exit_code == 2 and "--init-from" in result.output


def test_inference_takes_files(data, tmp_path):
    saved(tmp_path / "weights")
    change_manifest(tmp_path / "weights", classes=[f"kind {k}" for k in range(10)])
    options = ["--data-dir", data, "--threads", 1, "--json", "--weights-dir"]
    wanted = run_here("inference", *options, tmp_path / "weights")
    assert wanted.exit_code == 0, wanted.output
    for names in ("torchvision", "kuangliu"):
        path = tmp_path / f"{names}.safetensors"
        saved(path, names=names)
        result = run_here("inference", *options, path)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == json.loads(wanted.stdout)
        assert f"{path}: safetensors, resnet18 of width 4" in result.stderr
    missing = run_here("inference", *options, tmp_path / "no.pth")
    assert missing.exit_code == 2


def test_a_folder_with_other_names(tmp_path):
    theirs = from_odyssey(NETWORK, fresh(), CONFIG)
    write_tensors(tmp_path / "kept", theirs, {})
    model = open_model(NETWORK, str(tmp_path / "kept"))
    assert model.config == CONFIG and model.has_statistics
    np.testing.assert_array_equal(model.params["fc_bias"], theirs["fc.bias"])
    assert example_of(str(tmp_path / "kept")).network is NETWORK


def test_what_a_file_says_of_its_model(tmp_path):
    manifest = {"model": "resnet18", "dropout": 0.25, "classes": ["a", "b"], "step": 7}
    path = tmp_path / "net.safetensors"
    for names in (fresh(), from_odyssey(NETWORK, fresh(), CONFIG)):
        write_tensors(path, names, {"odyssey": manifest})
        model = open_model(NETWORK, str(path))
        assert model.config == CONFIG._replace(dropout=0.25)
        assert model.metadata["classes"] == ["a", "b"]
    write_tensors(path, names, {"odyssey": manifest | {"width": 8}})
    with pytest.raises(ValueError, match="not the tensors of resnet18 of width 8"):
        open_model(NETWORK, str(path))


def test_parameters_alone_are_taken_with_a_warning(tmp_path):
    params, _ = initialize(CONFIG, 0)
    write_tensors(tmp_path / "old.npz", params, {})
    with pytest.warns(UserWarning, match="no running statistics"):
        model = open_model(NETWORK, str(tmp_path / "old.npz"))
    assert not model.has_statistics and list(model.params) == list(params)


def test_the_speed_run_begins_with_them_too(tmp_path):
    network = speedrun.NETWORK
    config = SpeedrunConfig(width=4)
    params, state = network.initialize(config, 3)
    theirs = from_odyssey(network, params | state, config)
    write_tensors(tmp_path / "net.npz", theirs, {})
    words = [
        "--init-from",
        tmp_path / "net.npz",
        "--width",
        4,
        "--dataset",
        "synthetic",
    ]
    words += [
        "--limit-train",
        64,
        "--limit-test",
        32,
        "--batch-size",
        32,
        "--epochs",
        1,
    ]
    words += ["--threads", 1, "--weights-dir", tmp_path / "run", "--max-steps", 1]
    result = CliRunner().invoke(speedrun_train.main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    weights = load_weights(network, tmp_path / "run" / "seed0")
    # it is not trained, and would be found from the images
    kernel = weights.params["whiten_kernel"]
    np.testing.assert_array_equal(kernel, params["whiten_kernel"])
    recipe = (tmp_path / "run" / "seed0" / "recipe.yml").read_text()
    assert f'init_from: "{tmp_path / "net.npz"}"' in recipe


def test_the_example_of_a_file_is_found(tmp_path):
    saved(tmp_path / "net.safetensors", names="torchvision")
    assert example_of(str(tmp_path / "net.safetensors")).network is NETWORK
    theirs = from_odyssey(LENET, LENET.initialize(LENET.models["lenet5"], 0)[0], None)
    write_tensors(tmp_path / "lenet.npz", theirs, {})
    assert example_of(str(tmp_path / "lenet.npz")).title == "LeNet-5"
