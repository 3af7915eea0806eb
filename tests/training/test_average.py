import numpy as np
import pytest
from standin import fresh_state

from odyssey.errors import InputError
from odyssey.training.average import (
    lookahead_update_inplace,
    update_average_inplace,
)
from odyssey.training.state import TrainingState


def arrays(*numbers, dtype=np.float64):
    return {"w": np.array(numbers, dtype)}


def test_three_updates_by_hand():
    averages = arrays(8.0, -4.0)
    for value, wanted in (
        (arrays(0.0, 4.0), [6.0, -2.0]),  # 0.75 * 8 + 0.25 * 0
        (arrays(10.0, 2.0), [7.0, -1.0]),
        (arrays(-1.0, -1.0), [5.0, -1.0]),
    ):
        update_average_inplace(averages, value, 0.75)
        assert averages["w"].tolist() == wanted


def test_it_is_the_weighted_mean_of_all_values():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((20, 3, 2, 5)).astype(np.float32)
    average = values[0].copy(order="F")
    for value in values[1:]:
        update_average_inplace({"k": average}, {"k": value}, 0.9)
    shares = 0.1 * 0.9 ** np.arange(19, -1, -1.0)
    shares[0] *= 10  # the first is where the average began
    assert shares.sum() == pytest.approx(1)
    wanted = np.tensordot(shares, values.astype(np.float64), 1)
    np.testing.assert_allclose(average, wanted, rtol=1e-5, atol=1e-6)
    assert average.dtype == np.float32 and average.flags.f_contiguous


def test_no_decay_is_a_copy():
    averages, values = arrays(8.0, -4.0), arrays(0.1, 0.3)
    update_average_inplace(averages, values, 0.0)
    np.testing.assert_array_equal(averages["w"], values["w"])
    values["w"][0] = 7.0
    assert averages["w"][0] == 0.1


@pytest.mark.parametrize(
    "values, decay, error",
    [
        ({"v": np.ones(2)}, 0.5, ValueError),
        ({**arrays(1, 2), "v": np.ones(2)}, 0.5, ValueError),
        (arrays(1, 2, 3), 0.5, ValueError),
        (arrays(1, 2, dtype=np.float32), 0.5, TypeError),
        (arrays(1, 2), 1.01, ValueError),
        (arrays(1, 2), float("nan"), ValueError),
        (arrays(1, 2), "0.5", TypeError),
    ],
)
def test_refusals_leave_the_average_alone(values, decay, error):
    averages = arrays(8.0, -4.0)
    with pytest.raises(error, match="update_average_inplace"):
        update_average_inplace(averages, values, decay)
    assert averages["w"].tolist() == [8.0, -4.0]


def test_lookahead_by_hand():
    slow, fast = arrays(8.0, -4.0), arrays(0.0, 4.0)
    lookahead_update_inplace(slow, fast, 0.75)
    assert slow["w"].tolist() == fast["w"].tolist() == [6.0, -2.0]
    fast["w"] += 4.0  # of its own: the slow ones stay until they are asked to follow
    assert slow["w"].tolist() == [6.0, -2.0]
    lookahead_update_inplace(slow, fast, 0.75)
    assert slow["w"].tolist() == fast["w"].tolist() == [7.0, -1.0]


def test_lookahead_converges_where_its_steps_overshoot():
    """f = x²/2 by steps of 1.9: x is multiplied by -0.9, in two by 0.81."""
    slow, fast = arrays(1.0), arrays(1.0)
    for step in range(1, 21):
        fast["w"] -= 1.9 * fast["w"]
        if step % 2 == 0:
            lookahead_update_inplace(slow, fast, 0.5)
    assert slow["w"][0] == pytest.approx(((1 + 0.9**2) / 2) ** 10, rel=1e-12)


@pytest.mark.parametrize(
    "fast, decay, error, match",
    [
        ({"v": np.ones(2)}, 0.5, ValueError, "fast must have the names of slow"),
        (arrays(1, 2, 3), 0.5, ValueError, "w must have shape"),
        (arrays(1, 2, dtype=np.float32), 0.5, TypeError, "w must have the dtype"),
        (arrays(1, 2), 1.01, ValueError, "decay"),
        ({"w": np.broadcast_to(1.0, 2)}, 0.5, ValueError, r"fast\['w'\] .*writeable"),
    ],
)
def test_refusals_of_lookahead_leave_both_alone(fast, decay, error, match):
    slow = arrays(8.0, -4.0)
    before = {name: np.array(array) for name, array in fast.items()}
    with pytest.raises(error, match=f"lookahead_update_inplace: .*{match}"):
        lookahead_update_inplace(slow, fast, decay)
    assert slow["w"].tolist() == [8.0, -4.0]
    for name, array in fast.items():
        np.testing.assert_array_equal(array, before[name])


def test_lookahead_of_one_array_is_refused():
    same = arrays(8.0, -4.0)
    with pytest.raises(ValueError, match="overlap"):
        lookahead_update_inplace(same, same, 0.5)


def averaged_state():
    plain = fresh_state()
    return TrainingState.fresh(plain.params, plain.running, averaged=True)


def test_what_is_learned_is_the_average_if_there_is_one():
    state = averaged_state()
    state.averages["w"] += 1
    state.averages["mean"] += 2
    params, running = state.learned()
    assert list(params) == ["w"] and list(running) == ["mean"]
    np.testing.assert_array_equal(params["w"], state.averages["w"])
    np.testing.assert_array_equal(running["mean"], state.averages["mean"])
    assert (state.params["w"] != params["w"]).all()
    plain = fresh_state()
    assert plain.averages == {} and plain.learned()[0]["w"] is plain.params["w"]


def test_the_average_goes_through_a_checkpoint_and_into_no_other_run():
    state, back = averaged_state(), averaged_state()
    state.averages["w"] += 1
    assert list(state.tensors()) == "w mean momentum.w ema.w ema.mean".split()
    back.restore(state.tensors(), state.counters())
    np.testing.assert_array_equal(back.averages["w"], state.averages["w"])
    scratch = state.copy_tensors()
    scratch.averages["w"] += 1
    np.testing.assert_array_equal(back.averages["w"], state.averages["w"])
    with pytest.raises(InputError, match=r"unexpected ema\.w"):
        fresh_state().restore(state.tensors(), state.counters())
