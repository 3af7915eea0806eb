"""Batch norm of a batch in parts, as ranks have them, is that of the whole batch.

The twin is therefore `reference.batch_norm2d` of all parts together.
"""

import ml_dtypes
import numpy as np
import pytest
from op_checks import nerr
from threads_as_ranks import on_ranks

from odyssey import reference
from odyssey.gradcheck import gradcheck
from odyssey.ops.batch_norm import (
    BatchStatistics,
    batch_norm2d,
    batch_norm2d_backward,
    batch_norm_again,
    batch_norm_training_backward,
    batch_statistics,
    merge_statistics,
)

#: Images of each rank.
PARTS = [(4,), (3, 3), (5, 2), (1, 4, 2), (2, 2, 2, 1)]
#: Largest errors, in units of the rms of what is right.
BARS = {np.float64: 1e-13, np.float32: 2e-6}


def merged(parts):
    """Statistics of all parts together."""
    own = [batch_statistics(part) for part in parts]
    counts = [part.size // part.shape[1] for part in parts]
    return merge_statistics(
        np.stack([s.mean for s in own]),
        np.stack([s.var for s in own]),
        np.array(counts),
    )


def cut(array, images):
    return np.split(array, np.cumsum(images)[:-1])


def draw(images, dtype, C=3, side=(5, 2)):
    """Gradient, x, addend, gamma, beta and running statistics."""
    rng = np.random.default_rng(len(images))
    g, x, addend = rng.standard_normal((3, sum(images), C, *side))
    x += 3 + np.arange(sum(images)).reshape(-1, 1, 1, 1)  # each part has its own mean
    gamma, beta, mean = rng.standard_normal((3, C))
    arrays = g, x, addend, gamma, beta, mean, rng.uniform(0.5, 2, C)
    return [array.astype(dtype) for array in arrays]


def in_parts(g, x, gamma, beta, mean, var, images, addend=None, relu=False, **options):
    """What all ranks together make of the batch: forward's and backward's results."""
    gs, xs = cut(g, images), cut(x, images)
    addends = [None] * len(images) if addend is None else cut(addend, images)
    statistics = merged(xs)

    def one(ranks):
        rank = ranks.rank

        def exchange(sums):
            assert sums.shape == (2, x.shape[1]) and sums.dtype == np.float64
            return sum(ranks.gather(sums))

        out, *running = batch_norm2d(
            xs[rank], gamma, beta, mean, var, statistics=statistics, relu=relu,
            addend=addends[rank], **options,
        )  # fmt: skip
        grads = batch_norm2d_backward(
            gs[rank], xs[rank], gamma, beta, mean, var, statistics=statistics,
            relu=relu, exchange=exchange, **options,
        )  # fmt: skip
        return out, *running, *grads

    columns = zip(*on_ranks(len(images), one), strict=True)
    out, means, variances, grad_input, grad_gamma, grad_beta = columns
    for ranks in (means, variances):  # each rank keeps the same ones
        assert len({array.tobytes() for array in ranks}) == 1
    return (
        np.concatenate(out), means[0], variances[0],
        np.concatenate(grad_input), sum(grad_gamma), sum(grad_beta),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", BARS)
@pytest.mark.parametrize("images", PARTS, ids=str)
def test_parts_give_what_the_whole_batch_gives(images, dtype):
    g, x, _, *rest = draw(images, dtype)
    got = in_parts(g, x, *rest, images, momentum=0.3, eps=1e-3)
    exact = [array.astype(np.float64) for array in (g, x, *rest)]
    want = (
        *reference.batch_norm2d(*exact[1:], momentum=0.3, eps=1e-3),
        *reference.batch_norm2d_backward(*exact, momentum=0.3, eps=1e-3),
    )
    for value, right in zip(got, want, strict=True):
        assert value.dtype == dtype
        assert nerr(value, right) <= BARS[dtype]


@pytest.mark.parametrize("dtype", BARS)
def test_with_addend_and_relu_after_it(dtype):
    images = (5, 2)
    g, x, addend, *rest = draw(images, dtype)
    want = batch_norm2d(x, *rest, addend=addend, relu=True)
    got = in_parts(g, x, *rest, images, addend=addend, relu=True)
    assert 0.2 < (want[0] > 0).mean() < 0.8
    for value, right in zip(got[:3], want, strict=True):
        assert nerr(value, right) <= BARS[dtype]
    want = batch_norm2d_backward(g, x, *rest, relu=True)
    got = in_parts(g, x, *rest, images, relu=True)[3:]
    for value, right in zip(got, want, strict=True):
        assert nerr(value, right) <= BARS[dtype]


def test_one_value_a_rank_is_enough():
    # x = 1, 3, 8 on three ranks: mean 4, deviations -3 -1 4, variance 26/3
    x = np.array([1.0, 3, 8]).reshape(3, 1, 1, 1)
    g = np.array([1.0, 2, -1]).reshape(x.shape)
    gamma, beta, mean, var = (np.array([v]) for v in (2.0, 1.0, 0.0, 1.0))
    eps = 9 - 26 / 3  # rstd = 1/3
    got = in_parts(g, x, gamma, beta, mean, var, (1, 1, 1), eps=eps)
    # sums: g 2; g * xhat = -1 - 2/3 - 4/3 = -3; g - 2/3 + xhat
    want = [
        [-1, 1 / 3, 11 / 3], [0.4], [0.9 + 0.1 * 13],
        [2 / 3 * v for v in (1 - 2 / 3 - 1, 2 - 2 / 3 - 1 / 3, -1 - 2 / 3 + 4 / 3)],
        [-3], [2],
    ]  # fmt: skip
    for value, right in zip(got, want, strict=True):
        np.testing.assert_allclose(value.ravel(), right, rtol=0, atol=1e-14)


@pytest.mark.parametrize("images", [(2, 2), (3, 1, 2)], ids=str)
def test_gradients_by_central_differences(images):
    g, x, _, gamma, beta, mean, var = draw(images, np.float64, side=(2, 2))

    def forward(x, gamma, beta):
        return in_parts(g, x, gamma, beta, mean, var, images)[0]

    def backward(g, x, gamma, beta):
        return in_parts(g, x, gamma, beta, mean, var, images)[3:]

    assert gradcheck(forward, backward, (x, gamma, beta), samples=20) <= 1e-7


def test_a_part_of_the_batch_alone_would_give_another_gradient():
    # the sums are needed: that of one rank's own gradients is not right
    images = (5, 2)
    g, x, _, *rest = draw(images, np.float64)
    xs, gs = cut(x, images), cut(g, images)
    statistics, want = merged(xs), batch_norm2d_backward(g, x, *rest)[0]
    alone = batch_norm2d_backward(
        gs[0], xs[0], *rest, statistics=statistics, exchange=lambda sums: sums
    )[0]
    assert nerr(alone, want[:5]) > 0.01


@pytest.mark.parametrize("images", PARTS, ids=str)
def test_bfloat16(images):
    g, x, _, *rest = draw(images, ml_dtypes.bfloat16)
    rest = [array.astype(np.float32) for array in rest]
    given = merged(cut(x, images))
    wide = x.astype(np.float64)
    assert nerr(given.mean, wide.mean((0, 2, 3))) <= 1e-13
    assert nerr(given.var, wide.var((0, 2, 3))) <= 1e-13
    got = in_parts(g, x, *rest, images)
    want = (*batch_norm2d(x, *rest), *batch_norm2d_backward(g, x, *rest))
    for value, right in zip(got, want, strict=True):
        assert value.dtype == right.dtype
        # float64 sums in another order: a number between two may be rounded elsewhere
        if right.dtype == np.float32:
            assert nerr(value, right) <= 1e-6
        else:
            apart = value.view(np.int16) != right.view(np.int16)
            assert apart.mean() <= 0.02
            assert nerr(value, right) <= 2**-6


def test_statistics_of_parts():
    # {1, 3} and {5, 7, 9}: means 2 and 7, variances 1 and 8/3; all: mean 5, variance 8
    means, variances = np.array([[2.0], [7.0]]), np.array([[1.0], [8 / 3]])
    mean, var, count = merge_statistics(means, variances, np.array([2, 3]))
    assert mean == pytest.approx(5, rel=1e-15) and var == pytest.approx(8, rel=1e-15)
    assert count == 5 and isinstance(count, int)


@pytest.mark.parametrize("value", [0.1, -7.3, 1e4, 1e30])
@pytest.mark.parametrize("counts", [(1, 1), (3, 7, 11), (49, 128, 6, 3, 1)], ids=str)
def test_a_constant_channel_has_exactly_its_mean_and_no_variance(value, counts):
    means = np.full((len(counts), 2), value)
    mean, var, _ = merge_statistics(means, np.zeros_like(means), np.array(counts))
    assert (mean == value).all() and (var == 0).all()


def test_large_means_cost_no_accuracy():
    rng = np.random.default_rng(2)
    x = 1e8 + rng.standard_normal((7, 3, 5, 5))
    deviations = x - 1e8  # exact
    mean, var, _ = merged(cut(x, (2, 4, 1)))
    np.testing.assert_allclose(mean - 1e8, deviations.mean((0, 2, 3)), atol=3e-8)
    # each part's mean is rounded by up to 0.75e-8; their deviations are about 0.1
    np.testing.assert_allclose(var, deviations.var((0, 2, 3)), rtol=4e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 6])
def test_a_bad_value_spoils_its_channel_on_every_rank_and_no_other(bad, place):
    images = (5, 2)
    g, x, _, *rest = draw(images, np.float64)
    clean = in_parts(g, x, *rest, images)
    x[place, 1, 2, 0] = bad
    spoilt = in_parts(g, x, *rest, images)
    assert np.isnan(spoilt[0][:, 1]).all() and np.isnan(spoilt[3][:, 1]).all()
    for got, want in zip(spoilt, clean, strict=True):
        channels = (slice(None), [0, 2]) if got.ndim == 4 else ([0, 2],)
        np.testing.assert_array_equal(got[channels], want[channels])


def test_the_forward_once_more_is_the_same_to_the_bit():
    images = (1, 4, 2)
    _, x, _, gamma, beta, mean, var = draw(images, np.float32, side=(1, 1))
    xs = cut(x, images)
    statistics = merged(xs)
    for part in xs:  # of one value, too
        out = batch_norm2d(part, gamma, beta, mean, var, statistics=statistics)[0]
        again = batch_norm_again(part, gamma, beta, statistics)
        np.testing.assert_array_equal(again, out)


def test_inference_takes_no_statistics_and_no_sums():
    images = (5, 2)
    g, x, _, *rest = draw(images, np.float64)
    given = merged(cut(x, images))
    want = batch_norm2d_backward(g, x, *rest, False)
    got = batch_norm2d_backward(g, x, *rest, False, statistics=given._replace(count=99))
    for value, right in zip(got, want, strict=True):
        np.testing.assert_array_equal(value, right)
    with pytest.raises(ValueError, match=r"^batch_norm2d_backward: exchange must be"):
        batch_norm2d_backward(g, x, *rest, False, statistics=given, exchange=np.copy)


def test_what_is_refused():
    images = (5, 2)
    g, x, _, gamma, beta, *running = draw(images, np.float32)
    own, given = batch_statistics(x), merged([x, x])
    for name, backward in (
        ("batch_norm2d_backward", lambda statistics, **options: batch_norm2d_backward(
            g, x, gamma, beta, *running, statistics=statistics, **options)),
        ("batch_norm_training_backward", lambda statistics, **options:
            batch_norm_training_backward(g, x, gamma, beta, statistics, **options)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"^{name}: .* those of 140 values"):
            backward(given)
        with pytest.raises(ValueError, match=f"^{name}: exchange must be given with"):
            backward(own, exchange=np.copy)
        with pytest.raises(ValueError, match=rf"^{name}: exchange\(sums\) must have"):
            backward(given, exchange=lambda sums: sums[0])
        with pytest.raises(ValueError, match=f"^{name}: .*count must be at least 70"):
            backward(given._replace(count=69), exchange=np.copy)
    with pytest.raises(TypeError, match=r"^batch_norm2d: .*count must be an int"):
        batch_norm2d(x, gamma, beta, *running, statistics=given._replace(count=140.0))
    one = x[:1, :, :1, :1]
    with pytest.raises(ValueError, match=r"^batch_norm2d: .*more than one value"):
        batch_norm2d(one, gamma, beta, *running, statistics=merged([one]))
    for empty in (x[:0], x[:0, :, :1, :1]):
        with pytest.raises(ValueError, match=r"^batch_norm2d: .*more than one value"):
            batch_norm2d(
                empty, gamma, beta, *running, statistics=BatchStatistics(*given)
            )
