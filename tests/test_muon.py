"""Muon, against its twin, the singular value decomposition, and sums by hand."""

from pathlib import Path

import numba
import numpy as np
import pytest

import odyssey
from odyssey import reference
from odyssey.muon import muon_update_inplace, orthogonalize, scale_to_norm_inplace

SHAPES = [(1, 1), (1, 7), (9, 1), (5, 8), (8, 5), (16, 16), (57, 30), (30, 61)]
KERNELS = [(3, 2, 3, 3), (40, 3, 3, 3), (64, 9, 2, 1), (2, 3, 4)]
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def drawn(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def polynomial(s, steps):
    for _ in range(steps):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


def matrix_of(*values, rows=6, columns=9):
    """A matrix with these singular values, and its left and right singular vectors."""
    left = np.linalg.qr(drawn((rows, rows), seed=1))[0][:, : len(values)]
    right = np.linalg.qr(drawn((columns, columns), seed=2))[0][:, : len(values)]
    return left @ np.diag(values) @ right.T, left, right


@dtypes
@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("shape", [*SHAPES, *KERNELS])
def test_orthogonalize_agrees_with_its_twin(shape, steps, dtype):
    x = drawn(shape, dtype)
    result = orthogonalize(x, steps)
    assert result.shape == shape and result.dtype == dtype
    assert result.flags.c_contiguous and not np.shares_memory(result, x)
    # Sums of up to 270 products round by some units of the numbers near 1; a step
    # multiplies errors by up to 3.4445, which 5 steps make 485.
    bound = np.finfo(dtype).eps * 20 * 3.4445**steps
    np.testing.assert_allclose(
        result, reference.orthogonalize(x.astype(float), steps), rtol=0, atol=bound
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 5, 8])
def test_the_polynomial_acts_on_the_singular_values(steps, transposed):
    values = np.array([3.0, 1.0, 0.5, 0.1, 0.004, 0.0])
    x, left, right = matrix_of(*values)
    norm = np.sqrt((values**2).sum()) + 1e-7
    want = left @ np.diag(polynomial(values / norm, steps)) @ right.T
    result = orthogonalize(x.T, steps).T if transposed else orthogonalize(x, steps)
    np.testing.assert_allclose(result, want, rtol=0, atol=1e-12)


@dtypes
def test_five_steps_make_a_matrix_nearly_orthogonal(dtype):
    x = drawn((64, 216), dtype)
    left, _, right = np.linalg.svd(x.astype(float), full_matrices=False)
    result = orthogonalize(x)
    values = np.linalg.svd(result.astype(float), compute_uv=False)
    assert 0.68 < values.min() and values.max() < 1.14
    # seen along the singular vectors of x it is diagonal, with nothing beside it
    seen = left.T @ result.astype(float) @ right.T
    np.testing.assert_allclose(
        seen, np.diag(np.diag(seen)), rtol=0, atol=1e4 * np.finfo(dtype).eps
    )
    assert (np.diag(seen) > 0.68).all()


def test_a_row_and_a_column_by_hand():
    # (3, 4) / 5 has the one singular value 1: 3.4445 - 4.775 + 2.0315 = 0.701
    want = 0.701 * np.array([0.6, 0.8])
    np.testing.assert_allclose(orthogonalize(np.array([[3.0, 4.0]]), 1)[0], want, 1e-6)
    column = orthogonalize(np.array([[3.0], [4.0]]), 1)
    np.testing.assert_allclose(column[:, 0], want, 1e-6)


@dtypes
def test_zeros_remain_zeros(dtype):
    for shape in ((4, 6), (6, 4), (5, 2, 3, 3), (0, 3), (3, 0), (2, 0, 3, 3)):
        result = orthogonalize(np.zeros(shape, dtype))
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, np.zeros(shape))
    x = drawn((6, 9), dtype)
    x[2], x[:, 4] = 0, 0
    result = orthogonalize(x)
    assert not result[2].any() and not result[:, 4].any()


def test_rank_one_keeps_its_rank():
    x = np.outer(drawn(7, seed=3), drawn(11, seed=4))
    values = np.linalg.svd(orthogonalize(x), compute_uv=False)
    assert values[0] == pytest.approx(polynomial(1.0, 5), rel=1e-6)  # 1e-7 in the norm
    assert values[1:].max() < 1e-12


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e15, 1e38])
def test_the_scale_of_a_gradient_does_not_matter(scale):
    x = drawn((5, 8), np.float32) / np.float32(4)
    result = orthogonalize(x * np.float32(scale))
    if scale == 1e-30:
        np.testing.assert_allclose(result, 0, atol=1e-15)  # 1e-7 outweighs the norm
    else:
        np.testing.assert_allclose(result, orthogonalize(x), rtol=0, atol=2e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_seen(bad):
    x = drawn((4, 5), np.float32)
    x[1, 2] = bad
    assert np.isnan(orthogonalize(x)).all()


@pytest.mark.parametrize("shape", [(64, 24, 3, 3), (257, 129), (31, 200)])
def test_the_bits_do_not_depend_on_the_threads(shape):
    x, bits = drawn(shape, np.float32), set()
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        bits.add(orthogonalize(x).tobytes())
    assert len(bits) == 1


@dtypes
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("shape", [(5, 8), (8, 5), *KERNELS])
def test_four_updates_agree_with_the_twin(shape, nesterov, dtype):
    p, v = drawn(shape, dtype), np.zeros(shape, dtype)
    want_p, want_v = p.astype(float), np.zeros(shape)
    options = {"momentum": 0.6, "nesterov": nesterov, "weight_decay": 0.1, "steps": 3}
    for step, lr in enumerate((0.2, 0.2, 0.1, 0.0)):
        g = drawn(shape, dtype, seed=step)
        kept = g.copy()
        muon_update_inplace(p, g, v, lr, **options)
        reference.muon_update_inplace(want_p, g.astype(float), want_v, lr, **options)
        np.testing.assert_array_equal(g, kept)
        bound = np.finfo(dtype).eps * 20 * 3.4445**3
        np.testing.assert_allclose(p, want_p, rtol=bound, atol=bound)
        np.testing.assert_allclose(v, want_v, rtol=bound, atol=bound)
    assert p.dtype == v.dtype == dtype


@pytest.mark.parametrize("ops", [odyssey, reference], ids=["fast", "reference"])
@pytest.mark.parametrize(("nesterov", "steps"), [(True, 5), (False, 3)])
@pytest.mark.parametrize("label", ["wide", "square", "tall"])
def test_updates_agree_with_pytorchs_in_float64(label, nesterov, steps, ops):
    with np.load(Path(__file__).parent / "golden" / "muon.npz") as arrays:
        golden = {
            key.rpartition("/")[2]: value
            for key, value in arrays.items()
            if key.startswith(f"{label}/{nesterov}/")
        }
    param, velocity = golden["start"].copy(), np.zeros_like(golden["start"])
    factor = max(1, len(param) / param.shape[1]) ** 0.5  # PyTorch's, on the step alone
    for step, lr in enumerate((0.1, 0.1, 0.02, 0.004)):
        ops.muon_update_inplace(
            param,
            golden[f"grad{step}"],
            velocity,
            lr * factor,
            0.9,
            weight_decay=0.05 / factor,
            nesterov=nesterov,
            steps=steps,
        )
        # 1e-7 beside a norm of about 5, and of 0.5 there, times the slope of the steps
        np.testing.assert_allclose(param, golden[f"param{step}"], rtol=0, atol=1e-6)
        # theirs is an average, ours a sum
        want = golden[f"velocity{step}"] / (1 - 0.9)
        np.testing.assert_allclose(velocity, want, rtol=0, atol=1e-14)


def test_an_update_by_hand():
    """v = 0.5*2 + 3 = 4 and u = 3 + 0.5*4 = 5: one entry, whose direction is 1."""
    p, v = np.array([[2.0]]), np.array([[2.0]])
    muon_update_inplace(p, np.array([[3.0]]), v, 0.1, 0.5, weight_decay=1.0, steps=1)
    assert v == 4
    assert p[0, 0] == pytest.approx(0.9 * 2 - 0.1 * 0.701, rel=1e-7)


def test_nesterovs_form_looks_ahead():
    g, v = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [-1.0, 0.0]])
    for nesterov, want in ((True, g + 0.5 * (0.5 * v + g)), (False, 0.5 * v + g)):
        p, velocity = np.zeros((2, 2)), v.copy()
        muon_update_inplace(p, g, velocity, 1.0, 0.5, nesterov=nesterov)
        np.testing.assert_array_equal(velocity, 0.5 * v + g)
        np.testing.assert_array_equal(p, -orthogonalize(want))


VIEWS = {
    "contiguous": lambda n: np.zeros((n, 4, 6)),
    "Fortran": lambda n: np.zeros((6, 4, n)).T,
    "every second": lambda n: np.zeros((n, 8, 6))[:, ::2],
    "reversed": lambda n: np.zeros((n, 4, 6))[::-1, :, ::-1],
    "big-endian": lambda n: np.zeros((n, 4, 6), ">f8"),
    "one axis": lambda n: np.zeros((n, 4, 6, 3))[..., 1],
}


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("kind", VIEWS)
def test_any_memory_gives_the_same_bits(kind, nesterov):
    start, grad, speed = drawn((3, 5, 4, 6))
    p, g, v = (VIEWS[kind](5) for _ in range(3))
    p[...], g[...], v[...] = start, grad, speed
    for arrays in ((p, g, v), (start, grad, speed)):
        muon_update_inplace(*arrays, 0.1, weight_decay=0.1, nesterov=nesterov)
    np.testing.assert_array_equal(p, start)
    np.testing.assert_array_equal(v, speed)
    for array in (p, start):
        scale_to_norm_inplace(array, 2.0)
    np.testing.assert_array_equal(p, start)


def test_a_gradient_is_only_read():
    g = np.broadcast_to(np.float64(2), (3, 4))  # read-only, of strides zero
    p, v = np.zeros((3, 4)), np.zeros((3, 4))
    muon_update_inplace(p, g, v, 1.0)
    np.testing.assert_array_equal(v, g)
    np.testing.assert_array_equal(p, -orthogonalize(np.full((3, 4), 1.95 * 2)))


def refused(match, function, *arguments):
    kept = [np.array(array) for array in arguments]
    with pytest.raises(ValueError, match=match):
        function(*arguments)
    for array, before in zip(arguments, kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_unwriteable_memory_is_refused():
    frozen = np.ones((4, 3))
    frozen.setflags(write=False)
    once = np.lib.stride_tricks.as_strided(np.ones(3), (4, 3), (0, 8))
    for wrong, match in ((frozen, "writeable"), (once, "once")):
        a, b = np.ones((2, 4, 3))
        refused(f"param must .*{match}", muon_update_inplace, wrong, a, b, 0.1)
        refused(f"velocity must .*{match}", muon_update_inplace, a, b, wrong, 0.1)
        refused(f"param must .*{match}", scale_to_norm_inplace, wrong, 1.0)


def test_overlap_is_refused():
    a, b = np.ones((2, 4, 3))
    for p, g, v in ((a, a, b), (a, b, a), (b, a, a), (a, b, a[::-1])):
        refused("overlap", muon_update_inplace, p, g, v, 0.1)


@dtypes
def test_scaling_to_a_norm(dtype):
    x = drawn((6, 4, 3, 3), dtype)
    for norm in (6**0.5, 1e-20, 1e20, 0.0):
        p, want = x.copy(), x.astype(float)
        scale_to_norm_inplace(p, norm)
        reference.scale_to_norm_inplace(want, norm)
        assert p.dtype == dtype
        np.testing.assert_allclose(p, want, rtol=4 * np.finfo(dtype).eps)


def test_scaling_of_small_numbers_zeros_and_what_is_not_finite():
    tiny = np.array([3e-40, 4e-40], np.float32)
    scale_to_norm_inplace(tiny, 5.0)
    np.testing.assert_allclose(tiny, [3, 4], rtol=1e-4)  # 1e-45 is the spacing there
    for kept in ([0.0, 0.0], [1.0, np.nan], [1.0, np.inf], []):
        x = np.array(kept)
        scale_to_norm_inplace(x, 5.0)
        np.testing.assert_array_equal(x, kept)
