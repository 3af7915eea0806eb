"""Networks on several ranks with synchronised batch norms compute what one does."""

import contextlib

import numpy as np
import pytest
from family import KINDS, drawn
from op_checks import nerr
from resnet18_cifar10.example import NETWORK
from speedrun_cifar10.architecture import SpeedrunConfig
from speedrun_cifar10.example import NETWORK as SPEEDRUN
from threads_as_ranks import on_ranks
from vgg16_cifar10.model import EXAMPLE as VGG

from odyssey.distributed.data_parallel import Part, RowsOfBatch
from odyssey.layers.synchronized import synchronized
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import sgd_momentum_update_inplace
from odyssey.precision import in_precision

pytestmark = pytest.mark.usefixtures("one_thread")

NORMED = [name for name, config in KINDS.items() if config.normalize]
SEED = 9  # of stochastic depth and dropout
#: Images of the ranks: the last of three has one, which is one value in some layers.
PARTS = [(3, 3), (3, 2, 1)]


def step(network, config, params, state, x, labels, rng=None, share=1.0, **options):
    """The loss of some rows, their logits, gradients, new state."""
    rng = rng or np.random.default_rng(SEED)
    logits, new, cache = network.run_training(params, state, x, config, rng, **options)
    loss = share * cross_entropy(logits, labels)
    grad_logits = cross_entropy_backward(share, logits, labels)
    return loss, logits, network.run_backward(grad_logits, cache, params, config), new


def in_parts(network, config, params, state, x, labels, images, sync=True, **options):
    """What the ranks of so many images have together: as `step`."""
    ends = np.cumsum(images)

    def one(ranks):
        rows = slice(ends[ranks.rank] - images[ranks.rank], ends[ranks.rank])
        share = images[ranks.rank] / len(x)
        part = Part(len(x), rows, share, False)
        rng = RowsOfBatch(np.random.default_rng(SEED), part)
        given = network, config, params, dict(state), x[rows], labels[rows], rng, share
        with synchronized(ranks.gather) if sync else contextlib.nullcontext():
            return *step(*given, **options), len(ranks.gathered)

    losses, logits, grads, new, times = zip(*on_ranks(len(images), one), strict=True)
    if sync:
        for name in new[0]:
            assert len({of_rank[name].tobytes() for of_rank in new}) == 1, name
    norms = sum(name.endswith("_running_mean") for name in state)
    assert set(times) == {2 * norms * sync}
    grads = {name: sum(of_rank[name] for of_rank in grads) for name in grads[0]}
    return sum(losses), np.concatenate(logits), grads, new[0]


def worst(got, want):
    """The largest error of loss, logits, gradients and state, and its name."""
    errors = {"loss": abs(got[0] - want[0]) / want[0], "logits": nerr(got[1], want[1])}
    for tensors, right in zip(got[2:], want[2:], strict=True):
        assert tensors.keys() == right.keys()
        errors |= {name: nerr(tensors[name], right[name]) for name in right}
    return max((error, name) for name, error in errors.items())


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("images", PARTS, ids=str)
@pytest.mark.parametrize("kind", NORMED)
def test_the_ranks_of_a_residual_network(kind, images, recompute):
    config = KINDS[kind]._replace(dropout=0.3 if "drop" in kind else 0)
    params, state, x, labels, _ = drawn(kind)
    given = NETWORK, config, params, state, x, labels
    want = step(*given)
    got = in_parts(*given, images, recompute=recompute)
    assert worst(got, want)[0] <= 2e-12


def test_without_synchronisation_they_compute_something_else():
    params, state, x, labels, _ = drawn("basic")
    given = NETWORK, KINDS["basic"], params, state, x, labels
    got, want = in_parts(*given, (3, 3), sync=False), step(*given)
    assert abs(got[0] - want[0]) > 1e-3 * want[0]
    assert nerr(got[2]["conv1_kernel"], want[2]["conv1_kernel"]) > 0.1


def other(name, images=6):
    """A network with batch norms of another example, weights and a batch in float64."""
    if name == "speedrun":
        network, config = SPEEDRUN, SpeedrunConfig(width=3, num_classes=4)
    else:
        network = VGG.network
        config = network.models["vgg16_bn"]._replace(width=2, num_classes=4)
    rng = np.random.default_rng(5)
    params, state = network.initialize(config, 1)
    params, state = (
        {name: array.astype(np.float64) for name, array in tensors.items()}
        for tensors in (params, state)
    )
    if "whiten_kernel" in params:
        params["whiten_kernel"][...] = rng.normal(0, 0.3, params["whiten_kernel"].shape)
    x = rng.standard_normal((images, 3, 32, 32))
    return network, config, params, state, x, rng.integers(0, 4, images)


@pytest.mark.parametrize("images", PARTS, ids=str)
@pytest.mark.parametrize("name", ["speedrun", "vgg16_bn"])
def test_the_ranks_of_other_networks(name, images):
    given = other(name, sum(images))
    assert worst(in_parts(*given, images), step(*given))[0] <= 2e-12


def narrow(tensors):
    return {name: array.astype(np.float32) for name, array in tensors.items()}


# Statistics differ in the last digit of float64.  Where that moves a number of bfloat16
# to the next one, this is 2**-8 away.
@pytest.mark.parametrize(("precision", "bar"), [("float32", 1e-5), ("bf16", 0.02)])
@pytest.mark.parametrize("images", PARTS, ids=str)
def test_in_other_precisions(images, precision, bar):
    params, state, x, labels, _ = drawn("basic")
    network, x = in_precision(NETWORK, precision), x.astype(np.float32)
    given = network, KINDS["basic"], narrow(params), narrow(state), x, labels
    assert worst(in_parts(*given, images), step(*given))[0] <= bar
    if precision == "bf16":  # far from what it is without
        got = in_parts(*given, images, sync=False)
        assert worst(got, step(*given))[0] > 10 * bar


def test_twenty_steps_of_training():
    config = KINDS["basic"]
    losses = []
    for ranks in (None, (3, 3), (3, 2, 1)):
        params, state, x, labels, _ = drawn("basic")
        params, state, x = narrow(params), narrow(state), x.astype(np.float32)
        velocities = {name: np.zeros_like(param) for name, param in params.items()}
        losses.append([])
        for _ in range(20):
            given = NETWORK, config, params, state, x, labels
            loss, _, grads, state = in_parts(*given, ranks) if ranks else step(*given)
            for name, param in params.items():
                sgd_momentum_update_inplace(
                    param, grads[name], velocities[name], 0.02, 0.9
                )
            losses[-1].append(loss)
    assert losses[0][-1] < 0.5 * losses[0][0]
    np.testing.assert_allclose(losses[1:], [losses[0]] * 2, rtol=1e-5)
