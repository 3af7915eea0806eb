"""Operations on bfloat16 against those of PyTorch, each rounded in its own way.

Either result is off what is right by the error of its sums and by half a step of its
own rounding, so they are at most a step apart, and the errors of both sums.
"""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from golden_cases import BFLOAT16_GOLDENS
from op_checks import run
from test_goldens import sequence

import odyssey
from odyssey import reference
from odyssey.op_specs import name_of

PATH = Path(__file__).parents[1] / "golden" / "bfloat16.npz"
STEP = 2.0**-7


@pytest.fixture(scope="module")
def golden():
    with np.load(PATH) as arrays:
        return {
            name: x.view(ml_dtypes.bfloat16) if x.dtype == np.uint16 else x
            for name, x in arrays.items()
        }


@pytest.mark.parametrize("ops", [odyssey, reference], ids=["fast", "reference"])
@pytest.mark.parametrize(("spec", "case"), BFLOAT16_GOLDENS, ids=name_of)
def test_results_are_within_a_step_of_pytorch(golden, ops, spec, case):
    group = f"{spec.name}/{case.label}"
    inputs = sequence(golden, f"{group}/input")
    grad_output = golden[f"{group}/grad_output"]
    results, grads = run(ops, spec, case, inputs, grad_output)
    apart = 0
    out_bar, *grad_bars = spec.bars
    for kind, got, bars in (
        ("result", results, [out_bar] * len(results)),
        ("grad", grads, grad_bars),
    ):
        want = sequence(golden, f"{group}/{kind}")
        assert len(want) == len(got) > 0
        for value, right, bar in zip(got, want, bars, strict=False):
            rounded = ml_dtypes.bfloat16 in (value.dtype, right.dtype)
            value, right = value.astype(np.float64), right.astype(np.float64)
            sums = 2 * bar * np.sqrt(np.mean(right**2))
            bound = (STEP if rounded else 0) * np.abs(right) + sums
            assert (np.abs(value - right) <= bound).all()
            apart += np.count_nonzero(value != right)
    if spec.name == "maxpool2d":
        assert apart == 0


def test_no_golden_is_left_over(golden):
    assert {key.rsplit("/", 1)[0] for key in golden} == {
        f"{spec.name}/{case.label}" for spec, case in BFLOAT16_GOLDENS
    }
    assert PATH.stat().st_size < 100_000
