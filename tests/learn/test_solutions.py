"""The solutions that have no twin agree with the library's own, and all are quick."""

import time
from types import SimpleNamespace

import numpy as np
import other_ways
import pytest
import slow_student
from tries import functions

from odyssey import reference
from odyssey.learn import course, networks
from odyssey.learn.grading import grade
from odyssey.learn.solutions import (
    bfloat16_rounding,
    cosine_warmup,
    gradient_check,
    residual_block,
    winograd_1d,
    winograd_2d,
)
from odyssey.learn.sources import solution
from odyssey.training.learning_rate import LearningRate

#: Seconds of a processor that the checks of an exercise may take.
LIMIT = 3.0
LOOPS = {
    "conv2d": slow_student.CONV2D,
    "conv2d_grad_kernel": slow_student.CONV2D_GRAD_KERNEL,
    "conv2d_grad_input": slow_student.CONV2D_GRAD_INPUT,
}


def test_rounding_is_that_of_ml_dtypes():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    upper = np.arange(2**16, dtype=np.uint32) << 16
    for lower in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        x = (upper | lower).view(np.float32)
        with np.errstate(all="ignore"):
            right = x.astype(bfloat16).astype(np.float32)
        rounded = bfloat16_rounding.bfloat16_rounding(x)
        number = ~np.isnan(right)
        np.testing.assert_array_equal(np.isnan(rounded), ~number)
        np.testing.assert_array_equal(  # with the sign of zero
            rounded.view(np.uint32)[number], right.view(np.uint32)[number]
        )


@pytest.mark.parametrize("warmup", [0, 2])
def test_schedule_is_that_of_a_run(warmup):
    run = LearningRate(
        lr_scheduler="cosine", lr=0.4, lr_min=0.0, epochs=5, lr_warmup_epochs=warmup
    )
    for step in range(40):
        rate = cosine_warmup.cosine_warmup(step, 0.4, 5 * 7, warmup * 7)
        np.testing.assert_allclose(rate, run.lr_at(step, 7), rtol=1e-12, atol=1e-17)


def test_transforms_are_those_of_a_fast_convolution():
    """The sum over i of A[i, p] G[i, r] B[h, i] is 1 if h = p + r, else 0."""
    A = winograd_1d.transform_output(np.eye(4)).T
    G = winograd_1d.transform_kernel(np.eye(3))
    B = winograd_1d.transform_input(np.eye(4)).T
    p, r, h = np.ogrid[:2, :3, :4]
    identity = np.einsum("ip,ir,hi->prh", A, G, B)
    np.testing.assert_array_equal(identity, (h == p + r).astype(float))


def test_winograd_is_a_convolution_of_float32_as_well():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 9, 12), np.float32)
    kernel = rng.standard_normal((4, 8, 3, 3), np.float32)
    out = winograd_2d.winograd_2d(x, kernel, padding=1)
    right = reference.conv2d(x, kernel, padding=1)
    assert out.dtype == np.float32
    assert np.abs(out - right).max() < 1e-5 * np.abs(right).max()


@pytest.mark.parametrize("stride", [1, 2])
def test_residual_block_is_that_of_the_milestone(stride):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 6, 4))
    tensors = [
        rng.standard_normal(shape)
        for shape in ((3, 3, 3, 3), (3,), (3,), (3, 3, 3, 3), (3,), (3,))
    ]
    tensors.append(rng.standard_normal((3, 3, 1, 1)) if stride == 2 else None)
    ops = SimpleNamespace(
        **{name: getattr(reference, name) for name in reference.__all__}
    )
    out, _ = networks.residual_block(ops, x, *tensors, stride=stride)
    yours = residual_block.residual_block(x, *tensors, stride=stride)
    np.testing.assert_array_equal(yours, out)
    grad_output = rng.standard_normal(out.shape)
    grads = networks.residual_block_backward(
        ops, grad_output, x, *tensors, stride=stride
    )
    yours = residual_block.residual_block_backward(
        grad_output, x, *tensors, stride=stride
    )
    if stride == 1:  # no projection
        assert yours[-1] is None
        yours, grads = yours[:-1], grads[:-1]
    for one, other in zip(yours, grads, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_gradient_check_accepts_right_backwards_and_refuses_wrong_ones():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4)) + 0.01
    check = gradient_check.gradient_check
    for name in ("relu", "gelu", "softmax"):
        forward = getattr(reference, name)
        backward = getattr(reference, f"{name}_backward")
        assert check(forward, backward, x, rng)
        for factor in (-1, 1.0001, 0.5):
            wrong = lambda g, x, f=factor, b=backward: f * b(g, x)  # noqa: E731
            assert not check(forward, wrong, x, rng)


def seconds_of(name, found):
    begin = time.process_time()
    checks = list(grade(course.load(name), found))
    return time.process_time() - begin, all(check.passed for check in checks)


@pytest.mark.parametrize("name", LOOPS)
def test_loops_over_all_elements_pass_in_time(name):
    seconds, passed = seconds_of(name, functions(name, LOOPS[name]))
    assert passed
    assert seconds < LIMIT


@pytest.mark.parametrize("name", LOOPS)
def test_wrong_loops_are_answered_in_time(name):
    text = LOOPS[name].replace("q * stride + s", "q + s")
    assert text != LOOPS[name]
    seconds, passed = seconds_of(name, functions(name, text))
    assert not passed
    assert seconds < LIMIT


def test_a_block_made_of_loops_passes_in_time():
    text = solution(course.load("residual_block"))
    found = functions("residual_block", text)
    for name, loops in LOOPS.items():
        assert name in found
        found[name] = functions(name, loops)[name]
    seconds, passed = seconds_of("residual_block", found)
    assert passed
    assert seconds < LIMIT


@pytest.mark.parametrize("name", course.ORDER)
def test_another_way_of_writing_it_is_right_as_well(name):
    exercise = course.load(name)
    found = functions(name, solution(exercise)) | vars(other_ways)
    checks = list(grade(exercise, found))
    assert [check.message for check in checks if not check.passed] == []
