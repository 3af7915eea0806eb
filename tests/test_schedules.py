import math

import numpy as np
import pytest

from odyssey.schedules import (
    constant_lr,
    cosine_decay,
    cosine_restarts,
    linear_warmup,
    multistep_decay,
    one_cycle,
    step_decay,
)

HUGE = 10**400  # beyond every float


@pytest.mark.parametrize(
    ("epoch", "lr"), [(0, 0.01), (59, 0.01), (60, 0.002), (119, 0.002), (180, 0.00008)]
)
def test_default_drops(epoch, lr):
    assert step_decay(epoch, 0.01) == pytest.approx(lr, rel=1e-15)
    assert type(step_decay(np.int64(epoch), np.float64(0.01))) is float


def test_options():
    rates = [step_decay(e, 1.0, decay_epochs=2, decay_factor=0.5) for e in range(6)]
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert step_decay(1000, 0.1, 1, 1.0) == 0.1


@pytest.mark.parametrize("factor", [1e-300, 0.2, 1 - 2**-53])
def test_an_age_after_countless_drops_nothing_is_left(factor):
    assert step_decay(HUGE, 0.1, 1, factor) == 0.0
    assert step_decay(HUGE, 0.1, 1, 1.0) == 0.1
    assert step_decay(HUGE, 0.1, 10**399, 0.5) == 0.1 * 2**-10


def test_multistep_drops_at_its_milestones():
    rates = [multistep_decay(s, 8.0, [2, 3, 6], 0.5) for s in range(8)]
    assert rates == [8, 8, 4, 2, 2, 2, 1, 1]
    assert multistep_decay(99, 0.1, (100, 150)) == 0.1
    assert multistep_decay(100, 0.1, (100, 150)) == 0.1 * 0.1
    assert multistep_decay(HUGE, 0.1, (100, 150)) == 0.1 * 0.1**2
    assert multistep_decay(5, 0.1, ()) == 0.1


def test_cosine_by_hand():
    # cos of 0, 60, 90, 120 and 180 degrees: 1, 1/2, 0, -1/2, -1
    rates = [cosine_decay(s, 0.9, 6, 0.1) for s in (0, 2, 3, 4, 6, 7, HUGE)]
    assert rates[1:4] == pytest.approx([0.7, 0.5, 0.3], rel=1e-15)
    assert (rates[0], *rates[4:]) == (0.9, 0.1, 0.1, 0.1)
    assert cosine_decay(0, 0.1, 1) == 0.1
    assert cosine_decay(1, 0.1, 1) == 0.0
    assert cosine_decay(HUGE, 1.0, 2 * HUGE) == pytest.approx(0.5, rel=1e-15)


@pytest.mark.parametrize("low, high", [(0.03, 0.29), (0.07, 0.3)])
def test_ends_are_met_to_the_last_bit(low, high):
    assert [cosine_decay(s, high, 9, low) for s in (0, 9)] == [high, low]
    assert [cosine_restarts(s, high, 9, 1, low) for s in (0, 9)] == [high, high]
    assert [one_cycle(s, high, 9, 1 / 3, 0.5, low) for s in (3, 9)] == [high, low]


def test_restarts_are_exactly_at_their_boundaries():
    # periods of 2, 4, 8 updates: restarts at 2, 6, 14
    rates = [cosine_restarts(s, 1.0, 2, 2) for s in range(15)]
    assert [s for s, rate in enumerate(rates) if rate == 1.0] == [0, 2, 6, 14]
    assert rates[1] == rates[4] == rates[10] == pytest.approx(0.5, rel=1e-15)
    assert rates[3] == rates[8] == pytest.approx((1 + math.sqrt(0.5)) / 2, rel=1e-15)
    equal = [cosine_restarts(s, 1.0, 2) for s in range(6)]
    assert equal == [1.0, rates[1]] * 3
    assert cosine_restarts(7, 0.3, 1, 1, 0.1) == 0.3  # each period one update long


def test_restarts_where_periods_are_beyond_every_float():
    assert cosine_restarts(HUGE, 0.3, 10**398) == 0.3
    after = sum(3**k for k in range(1000))
    assert cosine_restarts(after, 0.3, 1, 3) == 0.3
    assert cosine_restarts(after - 1, 0.3, 1, 3) < 1e-15


def test_one_cycle_by_hand():
    rates = [one_cycle(s, 1.0, 8, 0.25, 0.5) for s in range(9)]
    assert rates == [0.5, 0.75, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0]
    ends = [one_cycle(s, 0.7, 8, 0.25, 0.0, 0.1) for s in (0, 2, 8, HUGE)]
    assert ends == [0.0, 0.7, 0.1, 0.1]
    assert [one_cycle(s, 0.7, 4, 0.0) for s in (0, 2)] == [0.7, 0.35]  # down only
    assert [one_cycle(s, 0.8, 4, 1.0, 0.0) for s in (0, 3)] == [0.0, 0.8 * 0.75]
    # 0.29 * 100 is less than 29 in floats: the peak is at the nearest step all the same
    assert one_cycle(29, 0.7, 100, 0.29) == 0.7
    assert one_cycle(0, 0.5, 10) == 0.04 * 0.5


def test_warmup_by_hand():
    factors = [linear_warmup(s, 4, 0.2) for s in range(6)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1], rel=1e-15)
    assert factors[0] == 0.2 and factors[4:] == [1.0, 1.0]
    assert linear_warmup(0, 4) == 0.01
    assert linear_warmup(0, 0, 0.0) == 1.0
    assert linear_warmup(HUGE, 5) == 1.0


#: A right call of each: the step, then all other arguments.
CALLS = {
    constant_lr: (0, 0.1),
    step_decay: (0, 0.1, 2, 0.5),
    multistep_decay: (0, 0.1, [2, 3], 0.5),
    cosine_decay: (0, 0.1, 4, 0.01),
    cosine_restarts: (0, 0.1, 4, 2, 0.01),
    one_cycle: (0, 0.1, 4, 0.5, 0.5, 0.01),
    linear_warmup: (0, 4, 0.5),
}
#: What is out of range for an argument, by its place; and what is of a wrong type.
BAD = {
    constant_lr: ((-1,), (-0.1, math.nan, math.inf)),
    step_decay: ((-1,), (-0.1, math.nan), (0, -1), (0.0, 1.1, math.nan)),
    multistep_decay: ((-1,), (-0.1,), ([3, 2], [2, 2], [0, 1]), (0.0, 1.1)),
    cosine_decay: ((-1,), (-0.1, math.inf), (0,), (-0.1, 0.2, math.nan)),
    cosine_restarts: ((-1,), (-0.1,), (0,), (0,), (-0.1, 0.2)),
    one_cycle: ((-1,), (-0.1,), (0,), (-0.1, 1.1), (-0.1, 1.1), (-0.1, 0.2)),
    linear_warmup: ((-1,), (-1,), (-0.1, 1.1, math.nan)),
}
WRONG_TYPE = {"step": 1.0, "epoch": True, "milestones": 3}


@pytest.mark.parametrize("function", CALLS, ids=lambda f: f.__name__)
def test_errors_name_function_and_argument(function):
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    right = CALLS[function]
    assert type(function(*right)) is float
    assert len(BAD[function]) == len(right)
    for place, values in enumerate(BAD[function]):
        message = f"^{function.__name__}: {names[place]} must"
        for value in values:
            with pytest.raises(ValueError, match=message):
                function(*right[:place], value, *right[place + 1 :])
        for value in (WRONG_TYPE.get(names[place], True), "1", None):
            with pytest.raises(TypeError, match=message):
                function(*right[:place], value, *right[place + 1 :])


def test_milestones_hold_integers():
    for bad in ([1.0, 2.0], ["1"], "12", {1, 2}, 5, iter([1])):
        with pytest.raises(TypeError, match="multistep_decay: milestones must"):
            multistep_decay(0, 0.1, bad)
    assert multistep_decay(1, 0.1, [np.int64(1)], 0.5) == 0.05
