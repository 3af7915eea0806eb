"""The diagnosis names what is wrong with each backward of the zoo, and nothing else."""

import numpy as np
import pytest
from zoo import ZOO

from odyssey import gradcheck, op_specs
from odyssey.diagnosis import FAULTS, Diagnosis

EACH = pytest.mark.parametrize("wrong", ZOO, ids=lambda wrong: wrong.name)


@EACH
def test_a_wrong_backward_is_named(wrong):
    assert sorted(wrong.names()) == sorted(wrong.named)


@EACH
def test_the_error_begins_as_it_does_without_a_diagnosis(wrong):
    first, *rest = str(wrong.error).splitlines()
    assert rest == [f"  {d}" for d in wrong.error.diagnosis]
    assert rest
    with pytest.raises(AssertionError) as caught:
        gradcheck(*wrong.call())
    if wrong.name in ("linear_keeps", "dropout_drawn_anew"):
        return  # whose numbers are others at each call
    assert type(caught.value) is AssertionError
    assert str(caught.value) == first


@EACH
def test_gradients_that_are_right_are_not_accused(wrong):
    forward, backward, inputs = wrong.call()
    accused = {d.input for d in wrong.error.diagnosis}
    for position in range(min(wrong.spec.num_grads, len(inputs))):
        if inputs[position].dtype != np.float64 or position == wrong.input:
            continue
        try:
            gradcheck(forward, backward, inputs, wrt=position, samples=40)
        except AssertionError:
            continue
        assert position not in accused


def test_the_zoo_is_large_and_about_all_operations():
    named = [wrong for wrong in ZOO if wrong.named != ("unknown",)]
    assert len(named) >= 0.9 * len(ZOO) >= 0.9 * 50
    assert {spec.name for spec in op_specs.OPS} <= {wrong.operation for wrong in ZOO}
    assert len({wrong.name for wrong in ZOO}) == len(ZOO)


def test_every_name_is_of_the_list():
    assert {name for wrong in ZOO for name in wrong.named} <= {*FAULTS, "unknown"}


def test_a_diagnosis_says_name_input_and_evidence():
    (error,) = [wrong.error for wrong in ZOO if wrong.name == "linear_sign"]
    evidence = (
        "the ratio of yours to the numerical gradient is -1.000 in all 21 elements"
    )
    assert error.diagnosis == [Diagnosis("wrong sign", 1, evidence)]
    meaning = "the backward has the sign of each element turned round"
    assert (
        str(error).splitlines()[1] == f"  input 1: wrong sign ({meaning}): {evidence}"
    )
