"""What every operation promises, tried on all of them: see ``odyssey/op_specs.py``."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from op_checks import check_adjoint, check_gradients, nerr, run

import odyssey
from odyssey import reference
from odyssey.op_specs import ALL_CASES, FIRST_CASES, name_of

ROOT = Path(__file__).resolve().parents[2]

every_case = pytest.mark.parametrize(("spec", "case"), ALL_CASES, ids=name_of)
every_op = pytest.mark.parametrize(("spec", "case"), FIRST_CASES, ids=name_of)


def as_dtype(inputs, dtype):
    """Floating inputs in ``dtype``, labels as they are."""
    return tuple(x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs)


def flat_run(ops, spec, case, inputs, grad_output):
    results, grads = run(ops, spec, case, inputs, grad_output)
    return [*results, *grads]


def same_bits(some, others) -> bool:
    pairs = zip(some, others, strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


@every_case
def test_agrees_with_its_twin_in_float64(spec, case):
    inputs = case.make()
    grad_output = spec.grad_output(reference, inputs, case.options)
    got = flat_run(odyssey, spec, case, inputs, grad_output)
    want = flat_run(reference, spec, case, inputs, grad_output)
    assert len(got) == len(want)
    for value, right in zip(got, want, strict=True):
        assert nerr(value, right) <= 1e-12


@every_case
def test_agrees_with_its_twin_in_float32(spec, case):
    inputs = as_dtype(case.make(), np.float32)
    grad_output = spec.grad_output(reference, inputs, case.options)
    results, grads = run(odyssey, spec, case, inputs, grad_output)
    for value in (*results, *grads):
        assert type(value) is float or value.dtype == np.float32

    exact_inputs = as_dtype(inputs, np.float64)
    exact_upstream = np.asarray(grad_output, np.float64)
    want, want_grads = run(reference, spec, case, exact_inputs, exact_upstream)
    out_bar, *grad_bars = spec.bars
    for value, right in zip(results, want, strict=True):
        right = np.float32(right) if out_bar == 0 else right
        assert nerr(value, right) <= out_bar
    for value, right, bar in zip(grads, want_grads, grad_bars, strict=False):
        assert nerr(value, right) <= bar


@every_case
def test_backward_agrees_with_central_differences(spec, case):
    # every element, but for the largest arrays of convolutions and the wide cases
    assert check_gradients(odyssey, spec, case, samples=252) <= 1e-6


@pytest.mark.parametrize(
    ("spec", "case"), [pair for pair in ALL_CASES if pair[0].linear_in], ids=name_of
)
def test_backward_is_the_adjoint_of_a_linear_forward(spec, case):
    check_adjoint(odyssey, spec, case)


@every_case
def test_backward_is_linear_in_grad_output(spec, case):
    inputs = case.make()
    a, b = (
        spec.grad_output(reference, inputs, case.options, seed) for seed in (31, 32)
    )
    grads = [
        spec.backward(odyssey, upstream, inputs, case.options)
        for upstream in (a, b, np.asarray(2 * a - 3 * b))
    ]
    for grad_a, grad_b, both in zip(*grads, strict=True):
        scale = np.sqrt(np.mean(grad_a**2) + np.mean(grad_b**2))
        assert np.abs(2 * grad_a - 3 * grad_b - both).max() <= 1e-12 * scale


@every_case
def test_runs_twice_with_the_same_bits_and_leaves_its_arguments_alone(spec, case):
    inputs = case.make()
    grad_output = spec.grad_output(reference, inputs, case.options)
    before = [np.asarray(x).tobytes() for x in (*inputs, grad_output)]
    first = flat_run(odyssey, spec, case, inputs, grad_output)
    kept = [np.array(value) for value in first]
    second = flat_run(odyssey, spec, case, inputs, grad_output)
    assert same_bits(kept, second)
    assert same_bits(kept, first)
    assert before == [np.asarray(x).tobytes() for x in (*inputs, grad_output)]


@every_case
def test_results_have_memory_of_their_own(spec, case):
    inputs = case.make()
    grad_output = np.asarray(spec.grad_output(reference, inputs, case.options))
    (out, *_), grads = run(odyssey, spec, case, inputs, grad_output)
    # Running statistics may come back as they are in evaluation; out and grads not.
    arrays = [x for x in (out, *grads) if isinstance(x, np.ndarray)]
    for i, array in enumerate(arrays):
        assert array.flags.writeable
        for other in (*inputs, grad_output, *arrays[:i]):
            assert not np.shares_memory(array, other)


@every_op
def test_bits_do_not_depend_on_the_number_of_threads(spec, case):
    inputs = as_dtype(case.make(), np.float32)
    grad_output = spec.grad_output(reference, inputs, case.options)
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        results.append(flat_run(odyssey, spec, case, inputs, grad_output))
    assert same_bits(*results)


MAY_BE_EMPTY = [
    (spec, case)
    for spec, case in ALL_CASES
    if spec.name != "cross_entropy"
    and (spec.name != "batch_norm2d" or case.label == "evaluation")
    and all(case.make()[i].ndim > 1 for i in spec.batched)
    and case.label != "both stretched"
]


@pytest.mark.parametrize(("spec", "case"), MAY_BE_EMPTY, ids=name_of)
def test_an_empty_batch_gives_empty_results_and_gradients_of_zero(spec, case):
    inputs = list(case.make())
    full = spec.forward(reference, inputs, case.options)[0].shape
    for position in spec.batched:
        if inputs[position].ndim == len(full):
            inputs[position] = inputs[position][:0]
    grad_output = np.empty((0, *full[1:]))
    results, grads = run(odyssey, spec, case, inputs, grad_output)
    assert results[0].shape == (0, *full[1:])
    for x, grad in zip(inputs, grads, strict=False):
        assert grad.shape == x.shape
        assert not grad.any()


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_is_not_hidden(spec, case, dtype):
    inputs = as_dtype(case.make(), dtype)
    for position in range(min(spec.num_grads, len(inputs))):
        spoilt = [np.array(x) for x in inputs]
        spoilt[position][(0,) * spoilt[position].ndim] = np.nan
        results = spec.forward(odyssey, spoilt, case.options)
        assert np.isnan(results[0]).any()
    grad_output = spec.grad_output(reference, inputs, case.options)
    nothing = np.asarray(grad_output * dtype(np.nan))
    for grad in spec.backward(odyssey, nothing, inputs, case.options):
        assert np.isnan(grad).any()


def test_the_kernels_run_as_plain_python_too():
    """NUMBA_DISABLE_JIT=1 gives readable tracebacks and coverage; it must not break."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("this is that run")
    small = "twin_in_float64 and not wide or test_nan and not wide"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", __file__, "-k", small],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
