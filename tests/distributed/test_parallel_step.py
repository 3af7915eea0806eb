"""A step on several ranks: that of one process on the whole batch."""

import numpy as np
import pytest
from lenet5_cifar10.model import EXAMPLE as LENET
from resnet18_cifar10.example import EXAMPLE as RESNET
from standin import recipe
from threads_as_ranks import on_ranks

from odyssey.data.loader import BatchLoader
from odyssey.distributed.data_parallel import SOLO, DataParallel
from odyssey.distributed.rows import rows_of
from odyssey.errors import NonFiniteError
from odyssey.training.state import TrainingState
from odyssey.training.step import training_step

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (14, 32, 32, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
LABELS = RNG.integers(0, 10, 14)
BATCH = 7
STEPS = 4  # two epochs of 7 + 7 images


def resnet(**options):
    config = RESNET.network.models["resnet20"]._replace(width=4, **options)
    return RESNET.network, config


NETWORKS = {
    "resnet without batch norm": resnet(normalize=False),
    "resnet with dropout and stochastic depth": resnet(
        normalize=False, dropout=0.3, drop_path=0.2
    ),
    "lenet": (LENET.network, LENET.network.models["lenet5"]),
}


def float64(tensors):
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def train(ranks, network, config, *, steps=STEPS, batch=BATCH, dtype="f8", **options):
    """Return losses, gradients and the state after some steps, in float64."""
    made = recipe(batch_size=batch, label_smoothing=0.1, mixup_alpha=0.3)
    loader = BatchLoader(
        IMAGES,
        LABELS,
        batch,
        augment=True,
        dtype=dtype,
        mixup_alpha=0.3,
        num_classes=10,
    )
    params, running = (float64(t) for t in network.initialize(config, 1))
    if dtype == "f4":
        params, running = network.initialize(config, 1)
    state = TrainingState.fresh(params, running)
    parallel = SOLO
    if ranks is not None:
        parallel = DataParallel(ranks, loader.images_in, **options)
        loader = loader.part_of(ranks.rank, ranks.size)
    results = []
    while True:
        for x, labels in loader.epoch(state.epoch):
            result = training_step(
                state,
                x,
                labels,
                0.1,
                network=network,
                config=config,
                recipe=made,
                parallel=parallel,
            )
            grads = {name: grad.copy() for name, grad in result.grads.items()}
            results.append(result._replace(grads=grads))
            state.count_step(result.loss, result.correct, result.images)
            if state.step == steps:
                return results, state
        state.finish_epoch()
    return results, state


def close(found, expected, error):
    scale = np.abs(expected).max() or 1.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=error * scale)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("size", "options"),
    [(2, {}), (3, {}), (3, {"ordered": True}), (3, {"overlap": False})],
)
def test_steps_are_those_of_one_process_in_float64(size, name, options):
    network, config = NETWORKS[name]
    expected, after = train(None, network, config)
    every = on_ranks(size, lambda ranks: train(ranks, network, config, **options))
    for found, state in every:
        assert len(found) == STEPS
        for one, whole in zip(found, expected, strict=True):
            assert one.images == whole.images == BATCH
            assert one.loss == pytest.approx(whole.loss, rel=1e-10)
            assert one.correct == pytest.approx(whole.correct, rel=1e-12)
            for name, grad in whole.grads.items():
                close(one.grads[name], grad, 1e-9)
        for name, param in after.params.items():
            close(state.params[name], param, 1e-9)


@pytest.mark.parametrize("pre_activation", [False, True])
@pytest.mark.parametrize("size", [2, 3])
def test_with_synchronised_batch_norm_ranks_are_one_process(size, pre_activation):
    network, config = resnet(pre_activation=pre_activation)
    expected, after = train(None, network, config)
    for found, state in on_ranks(
        size, lambda ranks: train(ranks, network, config, sync_batch_norm=True)
    ):
        for one, whole in zip(found, expected, strict=True):
            assert one.loss == pytest.approx(whole.loss, rel=1e-9)
            for name, grad in whole.grads.items():
                close(one.grads[name], grad, 1e-6)
        for name, tensor in (after.params | after.running).items():
            close({**state.params, **state.running}[name], tensor, 1e-7)


@pytest.mark.parametrize("name", ["batch norm", "lenet"])
@pytest.mark.parametrize("size", [2, 3])
def test_all_ranks_have_the_same_bits_after_every_step(size, name):
    network, config = resnet() if name == "batch norm" else NETWORKS[name]
    every = on_ranks(size, lambda ranks: train(ranks, network, config, dtype="f4"))
    results, state = every[0]
    for others, other in every[1:]:
        assert [r.loss for r in others] == [r.loss for r in results]
        assert [r.correct for r in others] == [r.correct for r in results]
        for tensor, same in zip(
            state.tensors().values(), other.tensors().values(), strict=True
        ):
            np.testing.assert_array_equal(same, tensor)
    for again, _ in on_ranks(
        size, lambda ranks: train(ranks, network, config, dtype="f4")
    ):
        assert [r.loss for r in again] == [r.loss for r in results]


def test_running_statistics_are_the_mean_over_the_images():
    network, config = resnet()
    every = on_ranks(2, lambda ranks: train(ranks, network, config, steps=1))
    # each rank alone, on its rows of the same batch
    loader = BatchLoader(
        IMAGES, LABELS, 7, augment=True, dtype="f8", mixup_alpha=0.3, num_classes=10
    )
    params, fresh = (float64(t) for t in network.initialize(config, 1))
    (x, _), expected = next(loader.epoch(0)), {}
    for rank in range(2):
        rows = rows_of(7, rank, 2)
        own = network.forward(params, fresh, x[rows], config)[1]
        for name, value in own.items():
            share = (rows.stop - rows.start) / 7
            expected[name] = expected.get(name, 0) + share * value
    for name, value in every[1][1].running.items():
        close(value, expected[name], 1e-12)


def test_a_batch_of_fewer_images_than_ranks_is_computed_by_rank_0():
    network, config = NETWORKS["lenet"]
    expected, after = train(None, network, config, batch=12)  # 12 and 2
    for found, state in on_ranks(
        3, lambda ranks: train(ranks, network, config, batch=12)
    ):
        assert [r.images for r in found] == [12, 2] * 2
        for one, whole in zip(found, expected, strict=True):
            assert one.loss == pytest.approx(whole.loss, rel=1e-10)
            assert one.correct == pytest.approx(whole.correct, rel=1e-12)
        for name, param in after.params.items():
            close(state.params[name], param, 1e-9)


def test_nan_on_one_rank_is_raised_on_all_before_the_update():
    network, config = NETWORKS["lenet"]

    def step(ranks):
        state = TrainingState.fresh(*network.initialize(config, 1))
        before = {name: param.copy() for name, param in state.params.items()}
        x = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype("f4")
        if ranks.rank == 1:
            x[2, 0, 5, 5] = np.nan
        with pytest.raises(NonFiniteError) as caught, np.errstate(all="ignore"):
            training_step(
                state,
                x,
                np.arange(4),
                0.1,
                network=network,
                config=config,
                recipe=recipe(batch_size=8),
                parallel=DataParallel(ranks, lambda batch: 8),
            )
        for name, param in state.params.items():
            np.testing.assert_array_equal(param, before[name])
        return str(caught.value)

    first, second = on_ranks(2, step)
    assert first == second and first.startswith("loss nan, gradient norm nan")


def test_what_ranks_tell_each_other_arrives_with_the_step():
    network, config = NETWORKS["lenet"]

    def step(ranks):
        parallel = DataParallel(ranks, lambda batch: 4)
        parallel.news = lambda: (10.0 * ranks.rank, 1.0)
        state = TrainingState.fresh(*network.initialize(config, 1))
        training_step(
            state,
            np.zeros((2, 3, 32, 32), "f4"),
            np.arange(2),
            0.1,
            network=network,
            config=config,
            recipe=recipe(batch_size=4),
            parallel=parallel,
        )
        return parallel.told

    for told in on_ranks(2, step):
        np.testing.assert_array_equal(told, [[0, 1], [10, 1]])
