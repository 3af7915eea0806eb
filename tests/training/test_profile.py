import cProfile
import sys
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import odyssey
from odyssey.layers.context import Context, Gradients
from odyssey.layers.conv_norm import conv_norm, conv_norm_backward
from odyssey.layers.names import named
from odyssey.ops.activation import relu as positive_part
from odyssey.training.profile import Clocks, profile

X = np.ones((2, 3), np.float32)


@named("name")
def conv(name, seconds):
    time.sleep(seconds)
    return seconds


@named("cache", "backward")
def conv_backward(seconds, cache):
    time.sleep(seconds)


@named("name")
def block(name, seconds):
    conv("a", seconds)
    helper(seconds)
    conv("b", seconds)


def helper(seconds):
    """Is no layer: its time is that of what called it."""
    time.sleep(seconds)


@named("name")
def fails(name):
    raise KeyError(name)


@named("name")
def convolve(name, x):
    """Is a layer that calls operations."""
    time.sleep(0.01)
    return odyssey.add(odyssey.relu(x), x)


def phases(clocks):
    return {name: set(times) for name, times in clocks.times.items()}


def test_times_go_to_the_layer_without_those_within():
    with Clocks() as clocks:
        block("whole", 0.02)
        conv_backward(0.03, SimpleNamespace(name="a"))
        helper(0.01)
        conv("d", 0.01)
    assert set(clocks.times) == {"whole", "a", "b", "d"}
    for name, phase, seconds in (
        ("whole", "forward", 0.02),
        ("a", "forward", 0.02),
        ("a", "backward", 0.03),
        ("d", "forward", 0.01),
    ):
        # a sleep is never shorter, and a busy machine makes it longer
        assert seconds <= clocks.times[name][phase] < seconds + 0.5
    assert "backward" not in clocks.times["b"]


def test_no_time_counts_twice(monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr("odyssey.training.profile.clock", lambda: next(seconds))
    with Clocks() as clocks:
        block("whole", 0)  # 0 to 5; a from 1 to 2, b from 3 to 4
    assert clocks.times == {
        "whole": {"forward": 3},
        "a": {"forward": 1},
        "b": {"forward": 1},
    }


def test_a_layer_is_known_under_any_name():
    program = ModuleType("of_an_example")
    exec("def step(layer):\n    layer('a', 0.01)", vars(program))
    renamed = conv
    with Clocks() as clocks:
        program.step(renamed)
        SimpleNamespace(another=conv).another(name="b", seconds=0)
    assert clocks.times["a"]["forward"] >= 0.01
    assert phases(clocks) == {"a": {"forward"}, "b": {"forward"}}


def test_operations_are_known_under_any_name():
    with Clocks() as clocks:
        np.testing.assert_array_equal(positive_part(X), X)
        odyssey.relu_backward(X, X)
        odyssey.sgd_momentum_update_inplace(X.copy(), X, X.copy(), 0.1)
    assert phases(clocks) == {
        "relu": {"forward", "backward"},
        "sgd_momentum_update_inplace": {"other"},
    }


def test_operations_within_a_layer_are_the_layers():
    with Clocks() as clocks:
        convolve("a", X)
        odyssey.add(X, X)
    assert phases(clocks) == {"a": {"forward"}, "add": {"forward"}}
    assert clocks.times["a"]["forward"] >= 0.01


def test_operations_within_an_operation_are_that_ones():
    x, c = np.ones((2, 3, 4, 4), np.float32), np.ones(3, np.float32)
    with Clocks() as clocks:
        odyssey.batch_norm2d(x, c, c, c, c)  # which calls batch_statistics
    assert phases(clocks) == {"batch_norm2d": {"forward"}}


def test_the_librarys_layers_are_named_by_their_arguments():
    rng = np.random.default_rng(0)
    params = {"stem_kernel": rng.standard_normal((2, 3, 3, 3)).astype("f4")}
    params |= {f"bn_{kind}": np.ones(2, "f4") for kind in ("gamma", "beta")}
    state = {f"bn_running_{kind}": np.ones(2, "f4") for kind in ("mean", "var")}
    x = rng.standard_normal((2, 3, 4, 4)).astype("f4")
    with Clocks() as clocks:
        out, cache = conv_norm(Context(params, state, True), "stem", "bn", x)
        conv_norm_backward(Gradients(params), out, cache)
        context = Context(params, state, True, normalize=False)
        out, cache = conv_norm(context, "stem", None, x)
        conv_norm_backward(Gradients(params), out, cache)
    assert list(clocks.times) == ["stem", "bn", "relu"]
    both = {"forward", "backward"}
    assert phases(clocks) == {"stem": both, "bn": both, "relu": {"backward"}}


def test_layers_come_in_the_order_of_their_calls():
    with Clocks() as clocks:
        for name in ("stem", "first", "last"):
            conv(name, 0)
        block("whole", 0)
    assert list(clocks.times)[:3] == ["stem", "first", "last"]
    assert list(clocks.times)[3] == "whole"  # before what it calls, though it ends late


def test_a_layer_that_fails_ends_too():
    with Clocks() as clocks:
        with pytest.raises(KeyError, match="x"):
            fails("x")
        positive_part(X)  # is no part of it
    assert list(clocks.times) == ["x", "relu"]


@pytest.mark.parametrize("previous", [None, lambda frame, event, argument: None])
def test_the_profiler_before_is_put_back_whatever_happens(previous):
    before = sys.getprofile()
    try:
        sys.setprofile(previous)
        with Clocks() as clocks:
            conv("a", 0)
        assert sys.getprofile() is previous
        with pytest.raises(KeyError, match="x"), clocks:
            fails("x")
        assert sys.getprofile() is previous
    finally:
        sys.setprofile(before)
    conv("late", 0)
    assert list(clocks.times) == ["x"]


def test_a_profile_within_pythons_own():
    with cProfile.Profile() as own:
        conv("a", 0)
        with Clocks() as clocks:
            conv("b", 0)
        conv("c", 0)
    assert list(clocks.times) == ["b"]
    own.create_stats()
    calls = {key[2]: stats[0] for key, stats in own.stats.items()}
    assert calls["conv"] >= 2  # before and after; from Python 3.12 on the other, too


def test_a_profile_is_that_of_the_median_step():
    naps = iter([0.12, 0.0, 0.05])

    def step():
        conv("a", next(naps))
        time.sleep(0.01)

    found = profile(step)
    (row,) = found["rows"]
    assert row.keys() == {"name", "forward"} and row["name"] == "a"
    assert 0.05 <= row["forward"] < 0.12
    assert row["forward"] + 0.01 <= found["seconds"]
