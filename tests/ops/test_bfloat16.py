"""Operations on bfloat16: against their twins, in any layout, with any threads.

What is right is the twin's result in float64, of the same inputs.  From that a result
may differ by the error of float32 sums, for which each operation has a bar already, and
by its own rounding to 8 binary digits: half a step, at most 2**-8 of it.
"""

import subprocess
import sys

import ml_dtypes
import numba
import numpy as np
import pytest
from op_checks import nerr, run
from test_all_layouts import LAYOUTS, channels_last

import odyssey
from odyssey import bfloat16, reference
from odyssey.op_specs import OPS, name_of

BF16 = np.dtype(ml_dtypes.bfloat16)
HALF_STEP = 2.0**-8
NARROW = [spec for spec in OPS if spec.bfloat16]
CASES = [(spec, case) for spec in NARROW for case in spec.cases]
every_case = pytest.mark.parametrize(("spec", "case"), CASES, ids=name_of)
both = pytest.mark.parametrize("ops", [odyssey, reference], ids=["fast", "reference"])


def make(spec, case, parameters=np.float32):
    """Inputs with activations in bfloat16, and an upstream gradient likewise."""
    inputs = tuple(
        x.astype(BF16 if i in spec.batched else parameters)
        for i, x in enumerate(case.make())
    )
    return inputs, spec.grad_output(reference, inputs, case.options)


def exact(arrays):
    return tuple(x.astype(np.float64) for x in arrays)


def assert_rounded(got, want, bar):
    """Compare bfloat16 results with what is right: see the head of this file."""
    assert got.dtype == BF16 and got.shape == np.shape(want)
    sums = bar * np.sqrt(np.mean(want**2)) + 2.0**-24 * np.abs(want)
    bound = HALF_STEP * np.abs(want) + (1 + HALF_STEP) * sums
    assert (np.abs(got.astype(np.float64) - want) <= bound).all()


def assert_right(spec, case, inputs, grad_output, results, grads):
    """Compare all results with those of the twin in float64."""
    (upstream,) = exact([grad_output])
    want, want_grads = run(reference, spec, case, exact(inputs), upstream)
    out_bar, *grad_bars = spec.bars
    assert_rounded(results[0], want[0], out_bar)
    for value, right in zip(results[1:], want[1:], strict=True):
        assert value.dtype == np.float32
        assert nerr(value, right) <= out_bar
    assert len(grads) == len(want_grads)
    for i, (grad, right) in enumerate(zip(grads, want_grads, strict=True)):
        if i in spec.batched:
            assert_rounded(grad, right, grad_bars[i])
        else:
            assert grad.dtype == np.float32
            assert nerr(grad, right) <= grad_bars[i]


def same_bits(some, others) -> bool:
    pairs = list(zip(some, others, strict=True))
    assert pairs
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def flat_run(ops, spec, case, inputs, grad_output):
    results, grads = run(ops, spec, case, inputs, grad_output)
    return [*results, *grads]


@both
@every_case
def test_results_are_the_exact_ones_rounded_once(ops, spec, case):
    inputs, grad_output = make(spec, case)
    results, grads = run(ops, spec, case, inputs, grad_output)
    assert_right(spec, case, inputs, grad_output, results, grads)


@both
@every_case
def test_parameters_in_bfloat16_are_widened(ops, spec, case):
    narrow, grad_output = make(spec, case, BF16)
    assert grad_output.dtype == BF16
    widened = [
        x if i in spec.batched else bfloat16.widen(x) for i, x in enumerate(narrow)
    ]
    got = flat_run(ops, spec, case, narrow, grad_output)
    assert same_bits(got, flat_run(ops, spec, case, widened, grad_output))


#: Where nothing is summed, or sums have at most two terms.
NOT_SUMMED = [
    (spec, case)
    for spec, case in CASES
    if spec.name in ("relu", "maxpool2d")
    or (spec.name, case.label) == ("add", "activations")
]


@pytest.mark.parametrize(("spec", "case"), NOT_SUMMED, ids=name_of)
def test_bits_are_those_of_the_twin_where_no_order_of_sums_matters(spec, case):
    inputs, grad_output = make(spec, case)
    overlap = case.options.get("stride", 9) < case.options.get("kernel_size", 0)
    got = flat_run(odyssey, spec, case, inputs, grad_output)
    want = flat_run(reference, spec, case, inputs, grad_output)
    if overlap:  # gradients of several windows are added
        del got[1], want[1]
    assert same_bits(got, want)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize(
    ("spec", "case"), [(spec, spec.cases[0]) for spec in NARROW], ids=name_of
)
def test_any_layout_gives_the_same_bits(spec, case, layout):
    inputs, grad_output = make(spec, case, BF16)
    inputs, grad_output = [layout(x) for x in inputs], layout(grad_output)
    plain = [np.array(x, BF16, order="C") for x in inputs]
    upstream = np.array(grad_output, BF16, order="C")
    got = flat_run(odyssey, spec, case, inputs, grad_output)
    want = flat_run(odyssey, spec, case, plain, upstream)
    assert same_bits(got, want)
    for i, grad in enumerate(got[1:] if layout is channels_last else ()):
        if i in spec.batched and grad.ndim == 4:
            assert grad.transpose(0, 2, 3, 1).flags.c_contiguous


@every_case
def test_bits_do_not_depend_on_the_number_of_threads(spec, case):
    inputs, grad_output = make(spec, case)
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        results.append(flat_run(odyssey, spec, case, inputs, grad_output))
    assert same_bits(*results)


@every_case
def test_arguments_are_left_alone(spec, case):
    inputs, grad_output = make(spec, case)
    before = [x.tobytes() for x in (*inputs, grad_output)]
    got = flat_run(odyssey, spec, case, inputs, grad_output)
    assert before == [x.tobytes() for x in (*inputs, grad_output)]
    for value in got:
        assert value.dtype.isnative and value.flags.writeable


@pytest.mark.parametrize(
    ("spec", "case"),
    [
        (spec, case)
        for spec, case in CASES
        if spec.name != "batch_norm2d" or case.label == "evaluation"
        if case.label not in ("both stretched", "a number")
    ],
    ids=name_of,
)
def test_an_empty_batch_gives_empty_results_and_gradients_of_zero(spec, case):
    inputs, grad_output = make(spec, case)
    inputs = list(inputs)
    for i in spec.batched:
        if inputs[i].ndim == grad_output.ndim:
            inputs[i] = inputs[i][:0]
    results, grads = run(odyssey, spec, case, inputs, grad_output[:0])
    assert results[0].shape == (0, *grad_output.shape[1:])
    assert results[0].dtype == BF16
    for x, grad in zip(inputs, grads, strict=False):
        assert grad.shape == x.shape
        assert not grad.astype(np.float32).any()


@every_case
def test_nan_is_not_hidden(spec, case):
    inputs, grad_output = make(spec, case)
    for position in range(min(spec.num_grads, len(inputs))):
        spoilt = [np.array(x) for x in inputs]
        spoilt[position][(0,) * spoilt[position].ndim] = np.nan
        assert np.isnan(spec.forward(odyssey, spoilt, case.options)[0]).any()
    nothing = np.full_like(grad_output, np.nan)
    for grad in spec.backward(odyssey, nothing, inputs, case.options):
        assert np.isnan(grad).any()


def test_without_ml_dtypes_the_rest_works_and_the_error_says_what_to_install():
    program = """
import sys
sys.modules["ml_dtypes"] = None  # as if it were not installed
import numpy as np, odyssey
from odyssey.bfloat16 import bfloat16
x = np.ones((1, 1, 3, 3), np.float32)
assert odyssey.conv2d(x, x)[0, 0, 0, 0] == 9
assert odyssey.reference.conv2d(x, x)[0, 0, 0, 0] == 9
try:
    odyssey.relu(x.astype("u2"))
except TypeError as error:
    print(error)
bfloat16()
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "relu: x must be float32, float64 or bfloat16, got uint16\n"
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'ImportError: bfloat16 needs ml_dtypes: pip install "odyssey-by-hand[bf16]"'
    )
