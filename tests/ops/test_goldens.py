"""Both the operations and their twins against numbers that PyTorch computed.

``tests/golden/make_golden_ops.py`` wrote the file; it is float64 throughout.
"""

from pathlib import Path

import numpy as np
import pytest
from golden_cases import golden_cases
from op_checks import nerr, run

import odyssey
from odyssey import reference
from odyssey.op_specs import OPS, name_of

PATH = Path(__file__).parents[1] / "golden" / "ops.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(PATH) as arrays:
        return dict(arrays)


both = pytest.mark.parametrize("ops", [odyssey, reference], ids=["fast", "reference"])


def sequence(golden, prefix):
    """The arrays prefix0, prefix1, ..."""
    found = []
    while f"{prefix}{len(found)}" in golden:
        found.append(golden[f"{prefix}{len(found)}"].copy())
    return found


@both
@pytest.mark.parametrize(("spec", "case"), golden_cases(OPS), ids=name_of)
def test_operation_and_backward_agree_with_pytorch(golden, ops, spec, case):
    group = f"{spec.name}/{case.label}"
    inputs = sequence(golden, f"{group}/input")
    assert all(np.array_equal(a, b) for a, b in zip(inputs, case.make(), strict=True))
    grad_output = golden[f"{group}/grad_output"]
    results, grads = run(ops, spec, case, inputs, grad_output)
    for kind, got in (("result", results), ("grad", grads)):
        want = sequence(golden, f"{group}/{kind}")
        assert len(got) == len(want) > 0
        for value, right in zip(got, want, strict=True):
            assert nerr(value, right) <= 1e-12


@both
@pytest.mark.parametrize("nesterov", [False, True])
def test_four_steps_of_sgd_agree_with_pytorch(golden, ops, nesterov):
    group = "sgd/nesterov" if nesterov else "sgd/plain"
    param = golden[f"{group}/start"].copy()
    velocity = np.zeros_like(param)
    for step, lr in enumerate(golden[f"{group}/lrs"]):
        ops.sgd_momentum_update_inplace(
            param,
            golden[f"{group}/grad{step}"],
            velocity,
            float(lr),
            0.9,
            weight_decay=0.05,
            nesterov=nesterov,
        )
        assert nerr(param, golden[f"{group}/param{step}"]) <= 1e-14
        assert nerr(velocity, golden[f"{group}/velocity{step}"]) <= 1e-14


@both
@pytest.mark.parametrize("group", ["clip/scaled", "clip/left alone"])
def test_clipping_agrees_with_pytorch(golden, ops, group):
    grads = sequence(golden, f"{group}/grad")
    norm = ops.clip_grad_norm_inplace(grads, float(golden[f"{group}/max_norm"]))
    assert nerr(norm, golden[f"{group}/norm"]) <= 1e-14
    for grad, want in zip(grads, sequence(golden, f"{group}/clipped"), strict=True):
        assert nerr(grad, want) <= 1e-14


def test_no_golden_is_left_over(golden):
    expected = {f"{spec.name}/{case.label}" for spec, case in golden_cases(OPS)}
    stored = {key.rsplit("/", 1)[0] for key in golden}
    assert stored - expected == {
        "sgd/plain",
        "sgd/nesterov",
        "clip/scaled",
        "clip/left alone",
    }
    assert PATH.stat().st_size < 200_000
