"""What the library knows of a family of networks."""

from typing import NamedTuple

import pytest

from odyssey.network import Network, check_options


class Config(NamedTuple):
    layers: int = 2
    drop: float = 0.0
    num_classes: int = 10


def nothing(*arguments, **options):
    raise NotImplementedError


def network(**changes):
    functions = (
        "parameter_shapes",
        "state_shapes",
        "initialize",
        "forward",
        "backward",
        "recognize",
    )
    return Network(
        **{
            "family": "stack",
            "models": {"two": Config(), "nine": Config(9, 0.5)},
            **dict.fromkeys(functions, nothing),
            **changes,
        }
    )


def test_the_first_model_is_the_usual_one():
    assert network().usual == "two"
    assert network(models={"nine": Config(9), "two": Config()}).usual == "nine"
    assert network().option_names == ("layers", "drop", "num_classes")


@pytest.mark.parametrize(
    "config, name",
    [
        (Config(), "two"),
        (Config(num_classes=100), "two"),  # as many as the data has
        (Config(9, 0.5, 3), "nine"),
        (Config(9), "stack"),
        (Config(3), "stack"),
    ],
)
def test_a_member_is_called_as_the_model_that_it_is(config, name):
    assert network().name_of(config) == name


def test_a_family_may_name_its_members_itself():
    named = network(model_name=lambda config: f"stack{config.layers}")
    assert named.name_of(Config(7)) == "stack7"


def test_noise_is_for_training_alone():
    config = Config(9, 0.5, 3)
    assert network(noise=("drop",)).without_noise(config) == Config(9, 0.0, 3)
    assert network().without_noise(config) == config


def test_what_a_family_need_not_say():
    plain, params = network(), {"w": 1}
    assert plain.fold(params, {}, Config()) is params
    assert plain.check(Config()) is None
    assert plain.untold(Config()) == ""
    assert plain.noise == plain.stated == ()


def test_a_network_need_not_describe_its_layers():
    with pytest.raises(ValueError, match="the network stack does not describe its"):
        network().graph(Config())


@pytest.mark.parametrize(
    "changes, message",
    [
        ({}, None),
        ({"layers": 2**31 - 1, "drop": 0.999}, None),
        ({"layers": 0}, "layers must be 1 to 2147483647"),
        ({"num_classes": 2**31}, "num_classes must be 1 to 2147483647"),
        ({"drop": 1.0}, "drop must be in [0, 1)"),
        ({"drop": float("nan")}, "drop must be in [0, 1)"),
        (
            {"layers": -1, "drop": -0.1},
            "layers must be 1 to 2147483647; drop must be in [0, 1)",
        ),
    ],
)
def test_options_that_no_network_has(changes, message):
    config = Config()._replace(**changes)
    if message is None:
        return network().check(config)
    with pytest.raises(ValueError) as caught:
        network().check(config)
    assert str(caught.value) == message
    with pytest.raises(ValueError) as caught:
        check_options(config, "drop must be even")
    assert str(caught.value) == f"{message}; drop must be even"
