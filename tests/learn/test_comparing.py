"""What is said of two results, and how much of an array is shown."""

import numpy as np
import pytest

from odyssey.learn.comparing import Wrong, compare, show

X = np.arange(6.0).reshape(2, 3)


def said(got, right, *names):
    with pytest.raises(Wrong) as raised:
        compare(got, right, names or ("out",))
    return str(raised.value), raised.value.result


def test_equal_results_pass():
    compare(X, X + 1e-12, ("out",))
    compare((X, None, 2.0), (X, None, 2.0), ("a", "b", "c"))
    compare([X, X], (X, X), ("a", "b"))
    compare(np.float64(2), 2.0, ("loss",))
    compare(np.array([np.nan, np.inf, -0.0]), np.array([np.nan, np.inf, 0.0]), ("out",))
    compare(None, None, ())


def test_float32_has_room_for_its_rounding_and_float64_has_not():
    right = X.astype(np.float32)
    compare(right * np.float32(1 + 1e-5), right, ("out",))
    said(right * np.float32(1 + 1e-3), right)
    said(X * (1 + 1e-5), X)
    compare(1.00001, 1.0, ("loss",), "float32")
    said(1.00001, 1.0, "loss")


def test_kinds_are_named_before_numbers():
    assert said(X, (X, X), "out", "mask")[0] == (
        "it must return 2 results, out, mask; yours returns one result"
    )
    assert said((X,), (X, X), "out", "mask")[0].endswith("yours returns 1 result")
    assert said(None, X)[0].endswith("yours is None")
    assert said(X.astype("f4"), X)[0] == (
        "out must be an array of shape (2, 3) and dtype float64; yours is an array of "
        "shape (2, 3) and dtype float32"
    )
    assert said(X.tolist(), X)[0].endswith("yours is a list")
    assert said(X, 2.0, "loss")[0].startswith("loss must be a number; yours is an")
    assert said(None, 2.0, "loss")[0] == "loss must be a number; yours is None"
    assert said("abc", 2.0, "loss")[0] == "loss must be a number; yours is 'abc'"
    assert said(1j, 2.0, "loss")[0] == "loss must be a number; yours is a complex"
    assert said(2.0, True, "passed")[0] == "passed must be True; yours is a float"
    assert said(False, True, "passed")[0] == "passed must be True; yours is False"
    assert said((X, X), (X, None), "a", "b")[0].startswith("b must be None; yours is")


@pytest.mark.parametrize("right", [X, np.array(3.0), 3.0])
def test_wrong_numbers_are_a_result(right):
    assert said(right + 1, right)[1]


def test_a_missing_result_is_no_result():
    assert not said(None, X)[1]
    assert not said(X, (X, X), "out", "mask")[1]


def test_the_worst_element_is_the_example():
    got = X.copy()
    got[0, 1], got[1, 2] = 1.5, 9.0
    text, _ = said(got, X)
    assert text.startswith(
        "out is wrong in 2 of 6 elements; for example in element [1, 2]:\n"
        "  yours 9, right 5\nyour out, float64 of shape (2, 3):\n"
    )
    got[0, 0] = np.nan
    assert "element [0, 0]:\n  yours nan, right 0" in said(got, X)[0]


def test_large_arrays_are_shown_around_an_element():
    large = np.arange(1200.0).reshape(2, 3, 10, 20)
    lines = show("x", large, (1, 2, 9, 0)).splitlines()
    assert lines[0] == (
        "x, float64 of shape (2, 3, 10, 20), of which x[1, 2, 4:10, 0:6] is:"
    )
    assert lines[-1] == "     [1180., 1181., 1182., 1183., 1184., 1185.]]"
    assert len(lines) == 7
    small = show("x", np.zeros((2, 2, 1, 3))).splitlines()
    assert len(small) == 5 and all(line.strip() for line in small)


def test_what_is_no_array_is_shown_too():
    assert show("p", 0.25) == "p = 0.25"
    assert show("rng", np.random.default_rng(0)) == "rng = a random generator"
    assert show("f", np.sin) == "f = sin"
    assert show("x", np.array(2.0)) == "x = 2, float64 of shape ()"
    assert show("x", np.zeros((0, 3))) == "x, float64 of shape (0, 3): no elements"


def test_a_number_is_as_exact_as_the_arguments_were():
    compare(np.float32(1.2567505), 1.2567503, ("loss",), "float32")
    assert said(1.2567505, 1.2567503, "loss")[0] == "loss is 1.256751; right is 1.25675"
    with pytest.raises(Wrong):
        compare(1.2580, 1.2567, ("loss",), "float32")


def test_numbers_that_differ_are_shown_with_the_digits_that_differ():
    got, right = np.array([1.00000001]), np.array([1.0])
    assert "  yours 1.00000001, right 1\n" in said(got, right)[0]
    got, right = np.array([1.0 + 2e-9]), np.array([1.0])
    assert "  yours 1.000000002, right 1\n" in said(got, right)[0]


def test_small_numbers_are_not_shown_as_zero():
    assert show("g", np.array([-1.68e-5, 1.69e-5])).endswith("[-1.68e-05,  1.69e-05]")
    assert show("x", np.array([1e-5, 2.0])).endswith("[0., 2.]")


def test_a_result_where_none_belongs_is_named():
    with pytest.raises(Wrong, match=r"^it must return nothing; yours returns an array"):
        compare(X, None, ())
