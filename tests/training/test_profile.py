import sys
import time
from types import ModuleType

import numpy as np
import pytest

from odyssey.ops.activation import relu, relu_backward
from odyssey.ops.addition import add
from odyssey.training.profile import Clocks, profile


def conv(name, seconds):
    time.sleep(seconds)
    return seconds


def conv_backward(name, seconds):
    time.sleep(seconds)


def block(seconds):
    """Is no layer, but calls two."""
    layers.conv("a", seconds)
    layers.conv("b", seconds)
    layers._private("c")
    time.sleep(seconds)


def fails(name):
    raise KeyError(name)


def _private(name):
    pass


layers = sys.modules[__name__]


def clocks(modules=()):
    def layer_of(arguments):
        return arguments[0] if isinstance(arguments[0], str) else None

    return Clocks(modules, layers, layer_of)


def test_times_go_to_the_layer_without_those_within():
    with clocks() as c:
        layers.block(0.02)
        layers.conv_backward("a", 0.03)
        layers.conv("d", 0.01)
    assert set(c.times) == {"block", "a", "b", "d"}
    for name, phase, seconds in (
        ("block", "forward", 0.02),
        ("a", "forward", 0.02),
        ("a", "backward", 0.03),
        ("d", "forward", 0.01),
    ):
        # a sleep is never shorter, and a busy machine makes it longer
        assert seconds <= c.times[name][phase] < seconds + 0.5
    assert "backward" not in c.times["b"]


def test_layers_are_timed_where_they_were_imported():
    program = ModuleType("of_an_example")
    program.conv = conv
    with clocks([program]) as c:
        program.conv("a", 0.01)
    assert c.times["a"]["forward"] >= 0.01
    assert program.conv is conv


def test_layers_come_in_the_order_of_their_calls():
    with clocks() as c:
        for name in ("stem", "first", "last"):
            layers.conv(name, 0)
        layers.block(0)
    assert list(c.times)[:3] == ["stem", "first", "last"]
    assert list(c.times)[3] == "block"  # before what it calls, though it ends later


def test_the_modules_are_as_before_whatever_happens():
    before = dict(vars(layers))
    with pytest.raises(KeyError, match="x"), clocks() as c:
        layers.fails("x")
    assert dict(vars(layers)) == before
    layers.conv("late", 0)
    assert list(c.times) == ["x"]


def test_operations_are_timed_under_their_names_and_phases():
    module = ModuleType("of_an_example")
    module.relu, module.relu_backward, module.add = relu, relu_backward, add
    module.profile, module.helper = profile, len
    x = np.ones((2, 3), np.float32)
    with clocks([module]) as c:
        np.testing.assert_array_equal(module.relu(x), x)
        module.relu_backward(x, x)
        module.add(x, x)
        relu(x)  # of another module
    phases = {name: set(times) for name, times in c.times.items()}
    assert phases == {"relu": {"forward", "backward"}, "add": {"forward"}}
    assert module.relu is relu and module.helper is len


def test_a_profile_is_that_of_the_median_step():
    naps = iter([0.12, 0.0, 0.05])

    def step():
        layers.conv("a", next(naps))
        time.sleep(0.01)

    found = profile(clocks(), step)
    (row,) = found["rows"]
    assert row.keys() == {"name", "forward"} and row["name"] == "a"
    assert 0.05 <= row["forward"] < 0.12
    assert row["forward"] + 0.01 <= found["seconds"]
