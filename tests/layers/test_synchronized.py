"""Batch norm over all ranks: who tells what, when, and that it ends."""

import numpy as np
import pytest
from threads_as_ranks import on_ranks

from odyssey.distributed.ranks import ALONE
from odyssey.layers.blocks import run_blocks, run_blocks_backward
from odyssey.layers.context import Context, Gradients
from odyssey.layers.norm import batch_norm, norm_backward, norm_relu
from odyssey.layers.synchronized import (
    statistics_over_ranks,
    sums_over_ranks,
    synchronized,
)
from odyssey.ops.batch_norm import BatchStatistics

C = 3


def tensors(*norms):
    rng = np.random.default_rng(1)
    params, state = {}, {}
    for norm in norms:
        params |= {
            f"{norm}_gamma": rng.uniform(0.5, 2, C),
            f"{norm}_beta": rng.standard_normal(C),
        }
        state |= {
            f"{norm}_running_mean": rng.standard_normal(C),
            f"{norm}_running_var": rng.uniform(0.5, 2, C),
        }
    return params, state


def batch(images=7, seed=2):
    x = np.random.default_rng(seed).standard_normal((images, C, 4, 5))
    return x + np.arange(images).reshape(-1, 1, 1, 1)


PARAMS, STATE = tensors("n")
X, G = batch(), batch(seed=3)
ROWS = [slice(0, 4), slice(4, 5), slice(5, 7)]  # of three ranks


def step(x, g, layer=batch_norm):
    context, grads = Context(PARAMS, STATE, True), Gradients(PARAMS)
    out, cache = layer(context, "n", x)
    grad_input = norm_backward(grads, g, cache)
    return out, grad_input, context.new_state, grads


@pytest.mark.parametrize("layer", [batch_norm, norm_relu])
def test_ranks_compute_what_one_process_does(layer):
    out, grad_input, state, grads = step(X, G, layer)

    def one(ranks):
        rows = ROWS[ranks.rank]
        with synchronized(ranks.gather):
            return *step(X[rows], G[rows], layer), ranks.gathered

    outs, inputs, states, all_grads, told = zip(*on_ranks(3, one), strict=True)
    np.testing.assert_allclose(np.concatenate(outs), out, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.concatenate(inputs), grad_input, rtol=0, atol=1e-13)
    for name in STATE:
        np.testing.assert_allclose(states[0][name], state[name], rtol=1e-13)
        assert len({of_rank[name].tobytes() for of_rank in states}) == 1
    for name in PARAMS:
        total = sum(of_rank[name] for of_rank in all_grads)
        np.testing.assert_allclose(total, grads[name], rtol=1e-12)
    # once in the forward: count, mean, variance; once in the backward: two sums
    assert [values.shape for values in told[0]] == [(3, 1 + 2 * C), (3, 2 * C)]
    assert {values.dtype for values in told[0]} == {np.dtype(np.float64)}
    assert told[0][0][:, 0].tolist() == [80, 20, 40]


def test_without_it_each_rank_has_its_own_statistics():
    want = step(X[ROWS[0]], G[ROWS[0]])

    def one(ranks):
        return *step(X[ROWS[ranks.rank]], G[ROWS[ranks.rank]]), ranks.gathered

    *got, told = on_ranks(3, one)[0]
    assert told == []
    np.testing.assert_array_equal(got[0], want[0])
    assert np.abs(got[0] - step(X, G)[0][:4]).max() > 0.1


def test_a_process_alone_has_the_same_bits_with_it():
    want = step(X, G)
    with synchronized(ALONE.gather):
        got = step(X, G)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])
    for one, other in zip(got[2:], want[2:], strict=True):
        for name in other:
            np.testing.assert_array_equal(one[name], other[name])


def test_it_ends_with_the_context_and_the_one_around_it_is_back():
    calls = []

    def telling(name):
        def gather(values):
            calls.append(name)
            return values[None]

        return gather

    with synchronized(telling("outer")):
        with pytest.raises(ZeroDivisionError), synchronized(telling("inner")):
            statistics = statistics_over_ranks(X)
            sums_over_ranks(statistics)(np.zeros((2, C)))
            raise ZeroDivisionError
        statistics = statistics_over_ranks(X)
    assert calls == ["inner", "inner", "outer"]
    own = statistics_over_ranks(X)
    assert calls == ["inner", "inner", "outer"]
    assert own.count is None and sums_over_ranks(own) is None
    with pytest.raises(RuntimeError, match="so the backward must be"):
        sums_over_ranks(statistics)


def test_sums_are_added_in_the_order_of_the_ranks():
    big = 2.0**53  # big + 1 is big: in this order the sum is 0, in others 1 or 2
    of_ranks = np.array([1.0, big, 1.0, -big])[:, None] * np.ones(2 * C)
    statistics = BatchStatistics(np.zeros(C), np.ones(C), 140)
    with synchronized(lambda values: of_ranks):
        total = sums_over_ranks(statistics)(np.ones((2, C)))
    assert total.shape == (2, C) and (total == 0).all()


def test_what_is_run_once_more_tells_nothing_again():
    params, state = tensors("a", "b", "c")

    def forward(context, block, x):
        return batch_norm(context, block, x, relu=False)

    def backward(grads, block, grad, cache, reuse):
        return norm_backward(grads, grad, cache)

    def run(x, g, recompute):
        context, grads = Context(params, state, True), Gradients(params)
        _, caches = run_blocks(context, forward, "abc", x, recompute=recompute)
        grad = run_blocks_backward(grads, forward, backward, "abc", g, caches)
        return grad, grads, context.new_state

    results, told = [], []
    for recompute in (False, True):

        def one(ranks, recompute=recompute):
            rows = ROWS[ranks.rank]
            with synchronized(ranks.gather):
                return run(X[rows], G[rows], recompute), ranks.gathered

        found = on_ranks(3, one)
        results.append([result for result, _ in found])
        told.append(found[0][1])
    assert len(told[0]) == 6
    for one, other in zip(*told, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        for kept, again in zip(one[1:], other[1:], strict=True):
            for name in again:
                np.testing.assert_array_equal(kept[name], again[name])
    want = run(X, G, False)[0]
    got = np.concatenate([grad for grad, *_ in results[1]])
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)
