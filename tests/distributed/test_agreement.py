"""What ranks agree on: stops, weights, and what they were started with."""

import signal

import numpy as np
import pytest
from standin import fresh_state
from threads_as_ranks import on_ranks

from odyssey.distributed.agreement import (
    AgreedStop,
    refuse_different,
    refuse_other_setup,
    share_state,
)
from odyssey.errors import InputError, ProgramError
from odyssey.training.signals import StopFlag, StopRequested


def test_a_signal_counts_once_all_ranks_know_of_it():
    def run(ranks):
        flag = StopFlag()
        stop = AgreedStop(flag, ranks)
        stop.ask_all()  # nobody was signalled
        if ranks.rank == 1:
            flag.signum = signal.SIGTERM
        stop.check()  # and the others do not know yet
        with pytest.raises(StopRequested):
            stop.ask_all()
        with pytest.raises(StopRequested):
            stop.check()
        return stop.signum

    assert on_ranks(3, run) == [signal.SIGTERM] * 3


def test_what_a_step_has_told_counts_too():
    stop = AgreedStop(StopFlag(), None)
    stop.learn(np.zeros(2))
    stop.check()
    stop.learn(np.array([0.0, signal.SIGINT]))
    assert stop.signum == signal.SIGINT


def test_a_different_tensor_is_named_with_its_rank():
    def run(ranks, wrong):
        tensors = {"a": np.zeros((2, 3)), "b": np.ones(4, "f4"), "c": np.ones(2)}
        if wrong and ranks.rank == 2:
            tensors["b"][1] = np.nextafter(np.float32(1), np.float32(2))
        if not wrong:
            return refuse_different(ranks, tensors, "at last")
        with pytest.raises(ProgramError) as caught:
            refuse_different(ranks, tensors, "after step 7")
        return str(caught.value)

    assert on_ranks(3, lambda ranks: run(ranks, False)) == [None] * 3
    message = (
        "the ranks do not have the same weights after step 7; other than rank 0's are "
        "those of rank 2: b"
    )
    assert on_ranks(3, lambda ranks: run(ranks, True)) == [message] * 3


def test_another_setup_is_named_with_both_values():
    def run(ranks):
        refuse_other_setup(ranks, {"the version": "1", "the recipe": "a"})
        own = {"the version": "1", "the recipe": "ab"[ranks.rank]}
        with pytest.raises(InputError) as caught:
            refuse_other_setup(ranks, own)
        return str(caught.value)

    message = "the ranks do not agree: the recipe is a on rank 0, and b on rank 1"
    assert on_ranks(2, run) == [message] * 2


def test_the_state_of_rank_0_is_given_to_all():
    def run(ranks):
        state = fresh_state()
        state.params["w"] = np.asfortranarray(state.params["w"])  # any memory order
        if ranks.first:
            state.params["w"][...] = np.arange(50).reshape(10, 5)
            state.velocities["w"][...] = 3
            state.count_step(1.5, 3, 8)
        share_state(ranks, state)
        return state

    first, second = on_ranks(2, run)
    assert second.counters() == first.counters() and second.step == 1
    for name, tensor in first.tensors().items():
        np.testing.assert_array_equal(second.tensors()[name], tensor)
    assert second.params["w"][1, 0] == 5
