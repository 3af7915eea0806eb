"""Other tools' names: the networks found, logits against PyTorch's, what does not fit.

The golden file is written by ``tests/golden/make_golden_names.py``.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from foreign_cases import (
    ALEXNET,
    CASES,
    LENET,
    RESNET,
    SPEEDRUN,
    VGG,
    digest,
    images,
    state_dict,
)
from resnet18_cifar10.architecture import ResNetConfig, initialize
from resnet18_cifar10.foreign import KUANGLIU

from odyssey.formats.names import (
    NamesError,
    find_network,
    from_odyssey,
    to_odyssey,
)
from odyssey.formats.tensor_file import FormatError

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "names.npz"
NETWORKS = (RESNET, LENET, ALEXNET, VGG, SPEEDRUN)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def shapes_of(golden, name):
    shapes = json.loads(str(golden[f"{name}/shapes"]))
    return {key: tuple(shape) for key, shape in shapes.items()}


def logits_of(network, renamed, x):
    params = {n: renamed.tensors[n] for n in network.parameter_shapes(renamed.config)}
    state = {n: renamed.tensors[n] for n in network.state_shapes(renamed.config)}
    return network.forward(params, state, x, renamed.config, training=False)[0]


@pytest.mark.parametrize("name", CASES)
def test_logits_agree_with_pytorch(golden, name):
    case = CASES[name]
    tensors, x = state_dict(shapes_of(golden, name)), images(case.side)
    assert digest(tensors, x) == str(golden[f"{name}/digest"]), (
        "run make_golden_names.py again"
    )
    renamed = to_odyssey(case.network, tensors, "file")
    assert renamed.config == case.config
    logits = logits_of(case.network, renamed, x)
    np.testing.assert_allclose(logits, golden[f"{name}/logits"], rtol=0, atol=1e-10)
    assert list(renamed.tensors) == list(case.network.tensor_shapes(case.config))
    assert find_network(NETWORKS, tensors, "file") is case.network


#: The style of names that a file has; None for those that are not written.
STYLES = {
    "torchvision, basic": "torchvision",
    "torchvision, bottleneck": "torchvision",
    "shortcut A, zeros at the end": "torchvision",
    "kuangliu": KUANGLIU,
    "kuangliu, bottleneck": KUANGLIU,
    "akamaster": KUANGLIU,
    "LeNet-5": "torchvision",
    "AlexNet": "torchvision",
    "VGG-16": "torchvision",
    "airbench": "airbench",
}


@pytest.mark.parametrize("name", STYLES)
def test_back_again_is_exact_to_the_bit(golden, name):
    network = CASES[name].network
    tensors = state_dict(shapes_of(golden, name))
    renamed = to_odyssey(network, tensors, "file")
    back = from_odyssey(network, renamed.tensors, renamed.config, STYLES[name])
    wanted = {n: t for n, t in tensors.items() if not n.endswith("batches_tracked")}
    assert back.keys() == wanted.keys()
    for key, tensor in wanted.items():
        np.testing.assert_array_equal(back[key], tensor, key)


@pytest.mark.parametrize("name", CASES)
def test_every_style_is_read_back(golden, name):
    network, config, _ = CASES[name]
    renamed = to_odyssey(network, state_dict(shapes_of(golden, name)), "file")
    for style in network.foreign.styles:
        again = to_odyssey(
            network, from_odyssey(network, renamed.tensors, config, style), "file"
        )
        assert again.config == config
        for key, tensor in renamed.tensors.items():
            np.testing.assert_array_equal(again.tensors[key], tensor, key)


def test_pre_activation_is_read_back_too():
    config = ResNetConfig(width=2, blocks=(1, 2), pre_activation=True)
    params, state = initialize(config, 0)
    for style in RESNET.foreign.styles:
        theirs = from_odyssey(RESNET, params | state, config, style)
        assert to_odyssey(RESNET, theirs, "file").config == config


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.net."],
)
def test_prefixes_of_wrappers(golden, prefix):
    plain = state_dict(shapes_of(golden, "kuangliu"))
    wrapped = {prefix + name: tensor for name, tensor in plain.items()}
    wrapped["n_averaged"] = np.array(3)
    ours = to_odyssey(RESNET, wrapped, "file").tensors
    for name, tensor in to_odyssey(RESNET, plain, "file").tensors.items():
        np.testing.assert_array_equal(ours[name], tensor)


def test_other_tensors_beside_the_model(golden):
    plain = state_dict(shapes_of(golden, "kuangliu"))
    tensors = {f"model.{name}": tensor for name, tensor in plain.items()}
    tensors["criterion.weight"] = np.ones(10)
    with pytest.raises(NamesError) as error:
        to_odyssey(RESNET, tensors, "file")
    assert error.value.problems == ["criterion.weight is unexpected"]


def test_a_part_of_a_network_keeps_its_names(golden):
    tensors = state_dict(shapes_of(golden, "VGG-16"))
    features = {n: t for n, t in tensors.items() if n.startswith("features")}
    with pytest.raises(NamesError) as error:
        to_odyssey(VGG, features, "file")
    assert error.value.problems == [
        f"classifier.{number}.{kind} is missing"
        for number in (0, 3, 6)
        for kind in ("weight", "bias")
    ]


def test_a_prefix_within_a_name():
    params, _ = LENET.initialize(CASES["LeNet-5"].config, 0)
    theirs = from_odyssey(LENET, params, CASES["LeNet-5"].config)
    theirs["fc1._orig_mod.weight"] = theirs.pop("fc1.weight")
    ours = to_odyssey(LENET, theirs, "file").tensors
    np.testing.assert_array_equal(ours["fc1_weights"], params["fc1_weights"])
    theirs["module.fc1.weight"] = params["fc1_weights"]
    with pytest.raises(FormatError) as error:
        to_odyssey(LENET, theirs, "a.pth")
    assert str(error.value) == (
        "a.pth: fc1._orig_mod.weight and module.fc1.weight are both fc1.weight"
    )


def test_all_that_does_not_fit_is_said_at_once(golden):
    tensors = state_dict(shapes_of(golden, "torchvision, basic"))
    tensors["layer1.0.conv_1.weight"] = tensors.pop("layer1.0.conv1.weight")
    tensors["layer4.1.bn2.running_avg"] = tensors.pop("layer4.1.bn2.running_mean")
    tensors["layer3.0.conv2.weight"] = np.zeros((16, 16, 3, 5))
    tensors["layer2.0.bn1.bias"] = np.zeros(8, np.int64)
    tensors["attention.query"] = np.zeros(3)
    del tensors["fc.bias"]
    with pytest.raises(NamesError) as error:
        to_odyssey(RESNET, tensors, "net.pth")
    assert error.value.summary == (
        "net.pth: not the tensors of resnet18 of width 4: 3 missing, 3 unexpected, "
        "2 of another shape or dtype"
    )
    assert error.value.problems == [
        "layer1.0.conv1.weight is missing (like it: layer1.0.conv_1.weight)",
        "fc.bias is missing",
        "layer4.1.bn2.running_mean is missing (like it: layer4.1.bn2.running_avg)",
        "layer1.0.conv_1.weight is unexpected (like it: layer1.0.conv1.weight)",
        "layer4.1.bn2.running_avg is unexpected (like it: layer4.1.bn2.running_mean)",
        "attention.query is unexpected",
        "layer2.0.bn1.bias has dtype int64, not float32 or float64",
        "layer3.0.conv2.weight has shape (16, 16, 3, 5), not (16, 16, 3, 3)",
    ]
    assert all(problem in str(error.value) for problem in error.value.problems)


def test_of_very_many_names_only_the_first_are_compared(golden):
    """Each comparison takes 10 us or more, and a file may hold any number of names."""
    tensors = state_dict(shapes_of(golden, "torchvision, basic"))
    extra = {f"layer4.{i}.conv1.weight": np.zeros(0) for i in range(2, 2002)}
    del tensors["layer4.1.conv1.weight"]
    with pytest.raises(NamesError) as error:
        to_odyssey(RESNET, {**tensors, **extra}, "net.pth", model="resnet18")
    unexpected = [p for p in error.value.problems if " is unexpected" in p]
    assert len(unexpected) == 2000
    assert ["like it" in line for line in unexpected] == [True] * 200 + [False] * 1800


def test_what_is_missing_is_named_as_in_the_file(golden):
    tensors = state_dict(shapes_of(golden, "kuangliu"))
    del tensors["linear.weight"], tensors["layer2.0.shortcut.0.weight"]
    with pytest.raises(NamesError) as error:
        to_odyssey(RESNET, {f"module.{n}": t for n, t in tensors.items()}, "net.pth")
    assert error.value.problems == [
        "layer2.0.shortcut.0.weight is missing",
        "linear.weight is missing",
    ]


def test_names_of_odyssey_stay(golden):
    config = ResNetConfig(width=2)
    params, state = initialize(config, 0)
    ours = to_odyssey(RESNET, params | state, "file")
    assert ours.config == config and list(ours.tensors) == [*params, *state]
    # nor need there be statistics: the original project kept none
    assert list(to_odyssey(RESNET, params, "file").tensors) == list(params)
    del params["fc_bias"]
    with pytest.raises(NamesError, match="1 missing: fc_bias is missing"):
        to_odyssey(RESNET, params | state, "file")
    theirs = from_odyssey(RESNET, initialize(config, 0)[0], config)
    with pytest.raises(NamesError, match=r"layer2\.0\.bn2\.running_var is missing"):
        to_odyssey(RESNET, theirs, "file")


def test_a_name_of_a_model_decides(golden):
    tensors = state_dict(shapes_of(golden, "torchvision, basic"))
    with pytest.raises(NamesError, match="resnet34 of width 4: 80 missing"):
        to_odyssey(RESNET, tensors, "file", model="resnet34")
    less = {n: t for n, t in tensors.items() if not n.startswith("layer4.1.")}
    assert to_odyssey(RESNET, less, "file").config.blocks == (2, 2, 2, 1)
    with pytest.raises(NamesError, match="resnet18 of width 4: 10 missing"):
        to_odyssey(RESNET, less, "file", model="resnet18")
    whole = state_dict(shapes_of(golden, "akamaster"))
    config = CASES["akamaster"].config
    assert to_odyssey(RESNET, whole, "file", model="resnet20").config == config
    manifest = {"model": "resnet20", "dropout": 0.25}
    renamed = to_odyssey(RESNET, whole, "file", manifest=manifest)
    assert renamed.config == config._replace(dropout=0.25)


def test_widened_dtypes(golden):
    tensors = state_dict(shapes_of(golden, "airbench"))
    single = {n: t.astype("f4") if t.ndim else t for n, t in tensors.items()}
    halves = {n: t if "norm" in n else t.astype(np.float16) for n, t in single.items()}
    renamed = to_odyssey(SPEEDRUN, halves, "file")
    assert {t.dtype for t in renamed.tensors.values()} == {np.dtype("f4")}
    kernel = halves["layers.1.conv1.weight"].astype("f4")
    np.testing.assert_array_equal(renamed.tensors["g1_conv1_kernel"], kernel)
    assert renamed.notes == ("9 tensors of float16 are widened to float32",)
    single["head.weight"] = tensors["head.weight"]
    renamed = to_odyssey(SPEEDRUN, single, "file")
    assert {t.dtype for t in renamed.tensors.values()} == {np.dtype("f8")}
    assert renamed.notes == ("32 tensors of float32 are widened to float64, as others",)


def test_what_is_not_possible_here_is_refused(golden):
    tensors = state_dict(shapes_of(golden, "airbench"))
    tensors["layers.2.norm1.weight"][0] = 0.5
    with pytest.raises(FormatError, match="file: g2_bn1_gamma must be 1 throughout"):
        to_odyssey(SPEEDRUN, tensors, "file")
    tensors = state_dict(shapes_of(golden, "timm, ResNetV2"))
    tensors["stages.0.blocks.0.norm1.weight"][1] = -0.5
    with pytest.raises(FormatError, match=r"blocks.0.norm1.weight has negative"):
        to_odyssey(RESNET, tensors, "file")


def test_pre_activation_networks_that_there_are_not_here(golden):
    # kuangliu's and bearpaw's have no norm after the first convolution, and one in the
    # first block: its shortcut is the convolution's output
    config = ResNetConfig(width=4, blocks=(1, 1), pre_activation=True)
    params, state = initialize(config, 0)
    tensors = from_odyssey(RESNET, params | state, config)
    for name in [name for name in tensors if name.startswith("bn1.")]:
        tensors[f"layer1.0.{name}"] = tensors.pop(name)
    with pytest.raises(NamesError) as error:
        to_odyssey(RESNET, tensors, "file")
    assert "bn1.weight is missing (like it: layer1.0.bn1.weight)" in str(error.value)
    assert "layer1.0.bn1.weight is unexpected" in str(error.value)
    # timm's of basic blocks likewise
    name = "stages.0.blocks.0.norm1.weight"
    with pytest.raises(NamesError) as error:
        to_odyssey(RESNET, {name: np.ones(4), "norm.weight": np.ones(4)}, "file")
    assert f"{name} is unexpected" in str(error.value)


def test_the_biases_of_torchvisions_vgg(golden):
    network, config, _ = CASES["VGG-16, batch norm"]
    tensors = state_dict(shapes_of(golden, "VGG-16, batch norm"))
    renamed = to_odyssey(network, tensors, "file")
    assert renamed.notes == (
        "13 biases before batch norms are now in the running means",
    )
    back = from_odyssey(network, renamed.tensors, config)
    assert not back["features.0.bias"].any()
    # in torchvision's lists there is no dropout before the first linear layer
    numbers = {name.split(".")[1] for name in back if name.startswith("class")}
    assert numbers == {"0", "3", "6"}


def test_the_notes_say_that_channels_were_reordered(golden):
    network = CASES["akamaster"].network
    tensors = state_dict(shapes_of(golden, "akamaster"))
    (note,) = to_odyssey(network, tensors, "file").notes
    assert "shortcut A adds zero channels on both sides" in note
    # at stage 2 the four channels of stage 1 come first, in their order
    ours = to_odyssey(network, tensors, "file").tensors
    theirs = tensors["layer2.0.conv2.weight"]
    order = [2, 3, 4, 5, 0, 1, 6, 7]
    np.testing.assert_array_equal(ours["s2b1_conv2_kernel"], theirs[order])
    np.testing.assert_array_equal(
        ours["s2b2_conv1_kernel"], tensors["layer2.1.conv1.weight"][:, order]
    )


def test_styles_that_there_are_not():
    config = CASES["LeNet-5"].config
    with pytest.raises(ValueError, match=r"lenet5's \(torchvision\), got 'kuangliu'"):
        from_odyssey(LENET, LENET.initialize(config, 0)[0], config, KUANGLIU)
    with pytest.raises(FormatError, match="lenet5 has no table"):
        to_odyssey(LENET._replace(foreign=None), {"fc1.weight": np.ones(2)}, "file")


def test_a_network_that_is_none_of_these():
    kernel = np.ones((2, 2, 3, 3))
    tensors = {"features.denseblock1.conv1.weight": kernel, "classifier.weight": kernel}
    network = find_network(NETWORKS, tensors, "file")
    with pytest.raises(NamesError, match=r"denseblock1\.conv1\.weight is unexpected"):
        to_odyssey(network, tensors, "file")
