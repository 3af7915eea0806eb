import math

import numba
import numpy as np
import pytest

from odyssey.optim import (
    clip_grad_norm_inplace,
    global_grad_norm,
    sgd_momentum_update_inplace,
)


def steps(lrs, grads, param=1.0, **options):
    """The parameter after each step, in float64."""
    p, v, seen = np.array([param]), np.zeros(1), []
    for lr, grad in zip(lrs, grads, strict=True):
        sgd_momentum_update_inplace(p, np.array([grad]), v, lr, **options)
        seen.append(p[0])
    return seen


def test_momentum_by_hand_with_a_drop_of_lr():
    """v = 1, 1.9, 2.71, 3.439; a velocity that held lr would give 0.529 at step 3."""
    seen = steps([0.1, 0.1, 0.01, 0.01], [1.0] * 4)
    assert seen == pytest.approx([0.9, 0.71, 0.6829, 0.64851], rel=1e-14)


def test_weight_decay_by_hand():
    """g = 0.51, 0.50949, ...: the decay joins the gradient before the velocity."""
    seen = steps([0.1] * 3, [0.5] * 3, weight_decay=0.01)
    assert seen == pytest.approx([0.949, 0.852151, 0.714134749], rel=1e-14)


def test_nesterov_by_hand():
    """Steps of 1 + 0.9*1, then 1 + 0.9*1.9."""
    seen = steps([0.1, 0.1], [1.0] * 2, nesterov=True)
    assert seen == pytest.approx([0.81, 0.539], rel=1e-14)


def test_no_momentum_is_plain_descent():
    assert steps([0.5], [2.0], momentum=0.0) == [0.0]
    assert steps([0.5], [2.0], momentum=0.0, nesterov=True) == [0.0]


def test_float32_follows_the_formula():
    rng = np.random.default_rng(0)
    p, g, v = rng.standard_normal((3, 100_003), dtype=np.float32)
    lr, mu, wd = (np.float32(x) for x in (0.05, 0.9, 5e-4))
    step = g + wd * p
    velocity = mu * v + step
    param = p - lr * (step + mu * velocity)
    sgd_momentum_update_inplace(p, g, v, 0.05, 0.9, weight_decay=5e-4, nesterov=True)
    assert p.dtype == v.dtype == np.float32
    # a fused multiply-add rounds once where the formula in NumPy rounds twice
    np.testing.assert_allclose(v, velocity, rtol=0, atol=3 * np.spacing(np.float32(4)))
    np.testing.assert_allclose(p, param, rtol=0, atol=2 * np.spacing(np.float32(4)))


VIEWS = {
    "contiguous": lambda n: np.zeros((n, 4, 6)),
    "Fortran": lambda n: np.zeros((6, 4, n)).T,
    "every second": lambda n: np.zeros((n, 8, 6))[:, ::2],
    "reversed": lambda n: np.zeros((n, 4, 6))[::-1, :, ::-1],
    "big-endian": lambda n: np.zeros((n, 4, 6), ">f8"),
    "one axis": lambda n: np.zeros((n, 4, 6, 3))[..., 1],
}


@pytest.mark.parametrize("kind_v", VIEWS)
@pytest.mark.parametrize("kind_p", VIEWS)
def test_writes_to_the_callers_memory(kind_p, kind_v):
    rng = np.random.default_rng(1)
    start, grad, speed = rng.standard_normal((3, 5, 4, 6))
    p, v, expected_p, expected_v = VIEWS[kind_p](5), VIEWS[kind_v](5), start, speed
    p[...], v[...] = start, speed
    sgd_momentum_update_inplace(p, grad, v, 0.1, weight_decay=0.01)
    sgd_momentum_update_inplace(expected_p, grad, expected_v, 0.1, weight_decay=0.01)
    np.testing.assert_array_equal(p, expected_p)
    np.testing.assert_array_equal(v, expected_v)


def test_gaps_between_strides_are_left_alone():
    buffer = np.ones((4, 6))
    sgd_momentum_update_inplace(buffer[:, ::2], np.ones((4, 3)), np.zeros((4, 3)), 0.5)
    np.testing.assert_array_equal(buffer[:, ::2], 0.5)
    np.testing.assert_array_equal(buffer[:, 1::2], 1)


def test_interleaved_views_do_not_overlap():
    buffer = np.ones((3, 4, 3))
    p, g, v = buffer[..., 0], buffer[..., 1], buffer[..., 2]
    v[...] = 0
    sgd_momentum_update_inplace(p, g, v, 0.25)
    np.testing.assert_array_equal(buffer, np.broadcast_to([0.75, 1, 1], buffer.shape))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)])
def test_small_shapes(shape):
    p, g, v = np.ones(shape), np.ones(shape), np.zeros(shape)
    sgd_momentum_update_inplace(p, g, v, 0.5)
    np.testing.assert_array_equal(p, np.full(shape, 0.5))


def test_gradient_is_only_read():
    g = np.broadcast_to(np.float64(2), (3, 4))  # read-only, of strides zero
    p, v = np.zeros((3, 4)), np.zeros((3, 4))
    sgd_momentum_update_inplace(p, g, v, 1.0)
    np.testing.assert_array_equal(p, -2)


def refused(error, match, p, g, v, *args, **options):
    kept = [np.array(array) for array in (p, v)]
    with pytest.raises(error, match=match):
        sgd_momentum_update_inplace(p, g, v, *args, **options)
    for array, before in zip((p, v), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("role", ["param", "velocity"])
def test_unwriteable_memory_is_refused(role):
    frozen = np.ones((4, 3))
    frozen.setflags(write=False)
    once = np.lib.stride_tricks.as_strided(np.ones(3), (4, 3), (0, 8))
    sliding = np.lib.stride_tricks.as_strided(np.ones(9), (4, 3), (8, 8))
    for wrong, match in ((frozen, "writeable"), (once, "once"), (sliding, "once")):
        arrays = {"param": np.ones((4, 3)), "velocity": np.ones((4, 3)), role: wrong}
        p, v = arrays["param"], arrays["velocity"]
        refused(ValueError, f"{role} must .*{match}", p, np.ones((4, 3)), v, 0.1)


def test_overlap_is_refused():
    a, b, buffer = np.ones(4), np.ones(4), np.ones(10)
    for p, g, v in ((a, a, b), (a, b, a), (b, a, a)):
        refused(ValueError, "overlap", p, g, v, 0.1)
    refused(ValueError, "overlap", buffer[:4], b, buffer[3:7], 0.1)
    refused(ValueError, "overlap", buffer[:8:2], buffer[2::2], b, 0.1)
    refused(ValueError, "overlap", buffer[:4], buffer[3::-1], b, 0.1)


def test_wrong_arguments():
    p, g, v = np.ones(3), np.ones(3), np.ones(3)
    for lr in (-1.0, math.nan, math.inf):
        refused(ValueError, "lr", p, g, v, lr)
    for momentum in (-0.1, 1.0, 2.0, math.nan):
        refused(ValueError, "momentum", p, g, v, 0.1, momentum)
    for decay in (-1.0, math.nan, math.inf):
        refused(ValueError, "weight_decay", p, g, v, 0.1, weight_decay=decay)
    for wrong in ("0.1", None, True, 1j, np.ones(1)):
        refused(TypeError, "lr", p, g, v, wrong)
    for shape in ((1,), (), (4,), (3, 1)):
        refused(ValueError, "grad must have shape", p, np.ones(shape), v, 0.1)
        refused(ValueError, "velocity must have shape", p, g, np.ones(shape), 0.1)
    refused(TypeError, "grad", p, g.astype(np.float32), v, 0.1)
    refused(TypeError, "velocity", p, g, v.astype(np.float32), 0.1)
    refused(TypeError, "param", p.astype(int), g, v, 0.1)
    refused(TypeError, "grad", p, [1.0, 1.0, 1.0], v, 0.1)


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
def test_scalars_that_are_infinite_in_the_dtype_are_refused(name):
    p, g, v = (np.ones(3, np.float32) for _ in range(3))
    for value in (1e39, 10**39, 1e300):
        refused(ValueError, name, p, g, v, **{"lr": 0.1, name: value})
    sgd_momentum_update_inplace(p, g - 1, v - 1, **{"lr": 0.0, name: 3e38})
    wide = np.ones(3)
    sgd_momentum_update_inplace(wide, wide * 0, wide * 0, **{"lr": 0.0, name: 1e39})
    assert np.isfinite([p, wide]).all()


def test_norm_by_hand():
    grads = {"a": np.array([[3.0, 0.0]]), "b": np.array(4.0), "c": np.empty((0, 2))}
    assert global_grad_norm(grads) == 5.0
    assert global_grad_norm(list(grads.values())) == 5.0
    assert global_grad_norm(g for g in grads.values()) == 5.0
    assert global_grad_norm([]) == 0.0
    assert type(global_grad_norm(grads)) is float


def test_norm_is_precise_and_does_not_overflow():
    ones = np.ones(1 << 20, np.float32)
    ones[0] = 4096.0  # its square is 2**24, and 2**24 + 1 is no float32
    assert global_grad_norm([ones]) == math.sqrt(2**24 + 2**20 - 1)
    assert global_grad_norm([np.full(4, 2e38, np.float32)]) == pytest.approx(4e38)


def test_norm_has_the_same_bits_on_one_thread():
    rng = np.random.default_rng(2)
    grads = [rng.standard_normal((700, 999)), rng.standard_normal(17)]
    norms = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        norms.append(global_grad_norm(grads).hex())
    assert norms[0] == norms[1]
    exact = math.sqrt(math.fsum(x * x for g in grads for x in g.ravel()))
    assert float.fromhex(norms[0]) == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping(dtype):
    buffer = np.zeros((2, 4), dtype)
    grads = {"strided": buffer[:, ::2], "whole": np.array([4.0], dtype)}
    grads["strided"][0, 0] = -3
    assert clip_grad_norm_inplace(grads, 0.5) == 5.0
    rtol = 1e-6  # the room of 1e-6 in the factor, by a norm of 5, and rounding
    np.testing.assert_allclose(buffer[0], [-0.3, 0, 0, 0], rtol=rtol)
    np.testing.assert_allclose(grads["whole"], 0.4, rtol=rtol)
    assert grads["whole"].dtype == dtype
    assert global_grad_norm(grads) <= 0.5


def test_small_gradients_are_not_touched():
    g = np.array([3.0, 4.0])
    for limit in (5.0, 7):
        assert clip_grad_norm_inplace([g], limit) == 5.0
        np.testing.assert_array_equal(g, [3, 4])
    assert clip_grad_norm_inplace([], 1.0) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_gradients_are_reported_and_left(bad):
    a, b = np.array([3.0, bad]), np.array([4.0])
    norm = clip_grad_norm_inplace([a, b], 1.0)
    assert math.isnan(norm) if math.isnan(bad) else norm == math.inf
    np.testing.assert_array_equal(a, [3.0, bad])
    np.testing.assert_array_equal(b, [4.0])


def test_clipping_at_infinity_only_measures():
    g = np.array([3.0, 4.0])
    for limit in (math.inf, np.float32(math.inf), 10**400):
        assert clip_grad_norm_inplace([g], limit) == 5
    np.testing.assert_array_equal(g, [3, 4])


def test_clipping_refuses():
    g, frozen = np.array([3.0, 4.0]), np.ones(2)
    frozen.setflags(write=False)
    once = np.lib.stride_tricks.as_strided(np.ones(1), (2,), (0,))
    for wrong in (frozen, once, g, g[::-1]):
        with pytest.raises(ValueError, match=r"grads\[.*\]"):
            clip_grad_norm_inplace([g, wrong], 1.0)
    for limit in (0.0, -1.0, math.nan, -math.inf):
        with pytest.raises(ValueError, match="max_norm"):
            clip_grad_norm_inplace([g], limit)
    with pytest.raises(TypeError, match=r"grads\['b'\]"):
        clip_grad_norm_inplace({"a": g, "b": g.astype(np.float32)}, 1.0)
    with pytest.raises(TypeError, match=r"grads\[1\]"):
        global_grad_norm([g, 1.0])
    np.testing.assert_array_equal(g, [3, 4])
