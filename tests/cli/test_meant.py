"""The suggestions for a name that is not known."""

import pytest

from odyssey.cli.lr_options import MEANT
from odyssey.cli.meant import did_you_mean, meant
from odyssey.cli.other_tools import CALLED, MISSING, answer
from odyssey.training.learning_rate import SCHEDULERS

MODELS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet110"]
RECIPES = ["resnet18_fast", "resnet18_plain", "resnet18_cifar", "resnet50_cifar"]
OPTIONS = ["--lr", "--lr-scheduler", "--lr-min", "--weight-decay", "--weights-dir"]
OPTIONS += ["--no-augment", "--momentum", "--nesterov", "--model", "--data-dir"]
OPTIONS += ["--dataset", "--threads", "--batch-size", "--epochs", "--precision"]
OPTIONS += ["--optimizer"]


@pytest.mark.parametrize(
    "name, known, wanted",
    [
        ("ResNet18", MODELS, ["resnet18"]),
        ("resnet-18", MODELS, ["resnet18"]),
        ("resnet_110", MODELS, ["resnet110"]),
        ("resent18", MODELS, ["resnet18"]),
        ("resnet152", MODELS, []),  # names that differ in numbers are not alike
        ("resnet", MODELS, []),  # more than three
        ("vgg16", MODELS, []),
        ("resnet18_fats", RECIPES, ["resnet18_fast"]),
        ("fast", RECIPES, ["resnet18_fast"]),
        ("cifar", RECIPES, ["resnet18_cifar", "resnet50_cifar"]),
        ("resnet18_slow", RECIPES, []),  # only the common beginning is alike
        ("cos", SCHEDULERS, ["cosine", "cosine-restarts"]),
        ("onecycle", SCHEDULERS, ["one-cycle"]),
        ("one_cycle", SCHEDULERS, ["one-cycle"]),
        ("restarts", SCHEDULERS, ["cosine-restarts"]),
        ("multi-step", SCHEDULERS, ["multistep"]),
        ("linear", SCHEDULERS, []),
        ("CIFAR-10", ["cifar10", "synthetic"], ["cifar10"]),
        ("--batch_size", OPTIONS, ["--batch-size"]),
        ("--epoch", OPTIONS, ["--epochs"]),
        ("--weight", OPTIONS, ["--weight-decay", "--weights-dir"]),
        ("--wieght-decay", OPTIONS, ["--weight-decay"]),
        ("--momentum-value", OPTIONS, ["--momentum"]),
        ("--lr-scheduler-type", OPTIONS, ["--lr-scheduler"]),
        ("--lrx", OPTIONS, ["--lr"]),
        ("resnet500", MODELS, []),
        ("resnet50v2", MODELS, ["resnet50"]),
        ("--zzz", OPTIONS, []),
        ("--l", OPTIONS, []),
        ("", OPTIONS, []),
        ("--", OPTIONS, []),
    ],
)
def test_which_name_was_meant(name, known, wanted):
    assert meant(name, known) == wanted


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("CosineAnnealingLR", ["cosine"]),
        ("CosineAnnealingWarmRestarts", ["cosine-restarts"]),
        ("OneCycleLR", ["one-cycle"]),
        ("MultiStepLR", ["multistep"]),
    ],
)
def test_names_that_pytorch_has(name, wanted):
    assert meant(name, SCHEDULERS, MEANT) == wanted


def test_how_it_is_asked():
    assert did_you_mean("b1", ["a", "b"]) is None
    assert did_you_mean("as", ["a-s"]) == "did you mean a-s?"
    assert did_you_mean("as", ["as-1", "as-2"]) == "did you mean as-1 or as-2?"
    three = ["as-1", "as-2", "as-3"]
    assert did_you_mean("as", three) == "did you mean as-1, as-2 or as-3?"


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("--learning-rate", "did you mean --lr?"),
        ("--learning_rate", "did you mean --lr?"),
        ("--wd", "did you mean --weight-decay?"),
        ("-b", "did you mean --batch-size?"),
        ("--bs", "did you mean --batch-size?"),
        ("--scheduler", "did you mean --lr-scheduler?"),
        ("--arch", "did you mean --model?"),
        ("--data", "did you mean --data-dir or --dataset?"),
        ("--depth", "did you mean --model?"),
        ("--output-dir", "did you mean --weights-dir?"),
        ("--resume", None),  # not an option of this command
        ("--optim", "did you mean --optimizer?"),
        ("--adamw", "there is no Adam; --optimizer chooses SGD or Muon."),
        (
            "--workers",
            "images are loaded without workers; --threads sets the number of threads.",
        ),
        (
            "--gpu",
            "there is no GPU support; --threads sets the number of CPU threads.",
        ),
        ("--amp", "did you mean --precision?"),
        (
            "--fp16",
            "there is no float16; --precision bf16 keeps activations in bfloat16.",
        ),
    ],
)
def test_options_of_other_tools(name, wanted):
    assert answer(name, OPTIONS) == wanted
    assert answer(name.replace("-", "_"), OPTIONS) == wanted


def test_nothing_is_recommended_that_the_command_has_not():
    assert answer("--gpu", ["--model"]) is None
    assert answer("--learning-rate", ["--model"]) is None
    assert answer("learning_rate", ["lr", "momentum"]) == "did you mean lr?"


def test_a_name_has_one_meaning():
    assert not CALLED.keys() & MISSING.keys()
