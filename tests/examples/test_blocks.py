"""Blocks give up their caches as they are used, or compute them again: same bits."""

import numpy as np
import pytest
from resnet18_cifar10.architecture import ResNetConfig
from resnet18_cifar10.example import NETWORK

from odyssey.layers.blocks import run_blocks, run_blocks_backward
from odyssey.layers.context import Context, Gradients
from odyssey.precision import PRECISIONS, in_precision

SMALL = ResNetConfig(width=4, blocks=(2, 1))
NETWORKS = {
    "basic": SMALL,
    "bottleneck": SMALL._replace(bottleneck=True),
    "v2": SMALL._replace(pre_activation=True),
    "v2 bottleneck": SMALL._replace(pre_activation=True, bottleneck=True),
    "shortcut A": SMALL._replace(shortcut="A"),
    "without norms": SMALL._replace(normalize=False),
    "noise": SMALL._replace(drop_path=0.5, dropout=0.3),
    "noise v2": SMALL._replace(drop_path=0.5, dropout=0.3, pre_activation=True),
}


def step(config, network=NETWORK, **options):
    """Return logits, new state, gradients and the cache of a step of training."""
    params, state = network.initialize(config, 1)
    x = np.random.default_rng(2).standard_normal((6, 3, 16, 16)).astype(np.float32)
    logits, new, cache = network.forward(
        params, state, x, config, True, np.random.default_rng(3), **options
    )
    reuse = options and cache
    grads = network.backward(logits, cache, params, config, reuse=reuse or None)
    return logits, new, grads, (cache, params)


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_bits_whatever_is_kept(name, precision, recompute):
    network = in_precision(NETWORK, precision)
    logits, state, grads, _ = step(NETWORKS[name], network)
    got = step(NETWORKS[name], network, recompute=recompute)
    np.testing.assert_array_equal(got[0], logits)
    assert_same(got[1], state)  # running statistics, updated once
    assert_same(got[2], grads)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_cache_that_is_not_lent_serves_again(recompute):
    config = NETWORKS["noise"]
    _, _, grads, _ = step(config)
    params, state = NETWORK.initialize(config, 1)
    x = np.random.default_rng(2).standard_normal((6, 3, 16, 16)).astype(np.float32)
    rng = np.random.default_rng(3)
    logits, _, cache = NETWORK.forward(
        params, state, x, config, True, rng, recompute=recompute
    )
    for _ in range(2):
        assert_same(NETWORK.backward(logits, cache, params, config), grads)


def test_a_lent_cache_is_empty_afterwards():
    *_, (cache, _) = step(SMALL, recompute=False)
    assert cache.blocks == []


class Block:
    """Adds one; counts its forwards, and caches what it was given."""

    forwards = 0

    def forward(self, context, x):
        self.forwards += 1
        return x + 1, x


def test_with_recompute_all_blocks_but_the_last_run_twice():
    blocks = [Block() for _ in range(4)]
    context, grads = Context({}, {}, True), Gradients({})

    def forward(context, block, x):
        return block.forward(context, x)

    def backward(grads, block, grad, cache, reuse):
        seen.append(float(cache[0]))
        return grad

    seen = []
    out, caches = run_blocks(context, forward, blocks, np.zeros(1), recompute=True)
    assert out == 4
    run_blocks_backward(grads, forward, backward, blocks, out, caches, reuse=caches)
    assert seen == [3, 2, 1, 0]
    assert [block.forwards for block in blocks] == [2, 2, 2, 1]
    assert caches == []


def test_caches_of_another_number_of_blocks():
    with pytest.raises(ValueError, match="those of 2 blocks, got 1"):
        run_blocks_backward(
            Gradients({}), Block.forward, None, [1, 2], np.zeros(1), [None]
        )


def test_a_network_without_blocks_runs_without_the_options():
    plain = NETWORK._replace(
        by_blocks=False,
        forward=lambda *args: args,
        backward=lambda *args: args,
    )
    assert plain.run_training(1, 2, 3, 4, 5) == (1, 2, 3, 4, True, 5)
    assert plain.run_backward(1, 2, 3, 4) == (1, 2, 3, 4)
