"""The rows of each rank: images, labels, mixing and noise of the whole batch."""

import copy

import numpy as np
import pytest

from odyssey.data.loader import BatchLoader
from odyssey.distributed.data_parallel import DataParallel, RowsOfBatch
from odyssey.distributed.ranks import Ranks
from odyssey.distributed.rows import rows_of
from odyssey.ops.dropout import dropout

RNG = np.random.default_rng(0)
N = 23
IMAGES = RNG.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
LABELS = np.arange(N) % 10


@pytest.mark.parametrize(
    ("images", "size", "expected"),
    [
        (8, 2, [(0, 4), (4, 8)]),
        (8, 3, [(0, 2), (2, 5), (5, 8)]),
        (3, 3, [(0, 1), (1, 2), (2, 3)]),
        (2, 3, [(0, 2), (0, 2), (0, 2)]),  # fewer than ranks: whole on each
        (5, 1, [(0, 5)]),
    ],
)
def test_rows_by_hand(images, size, expected):
    found = [rows_of(images, rank, size) for rank in range(size)]
    assert [(rows.start, rows.stop) for rows in found] == expected


@pytest.mark.parametrize("images", range(4, 40, 5))
@pytest.mark.parametrize("size", [2, 3, 4])
def test_rows_are_each_once_and_numbers_differ_by_one_at_most(images, size):
    rows = [rows_of(images, rank, size) for rank in range(size)]
    assert [i for part in rows for i in range(images)[part]] == list(range(images))
    counts = [part.stop - part.start for part in rows]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"augment": True, "cutout": 3, "flip": "alternating"},
        {"augment": True, "mixup_alpha": 0.4, "num_classes": 10},
        {"cutmix_alpha": 1.0, "num_classes": 10},
        {"mixup_alpha": 1.0, "cutmix_alpha": 1.0, "num_classes": 10, "drop_last": True},
    ],
)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_parts_put_together_are_the_batches_of_one_process(size, options):
    whole = BatchLoader(IMAGES, LABELS, 7, seed=3, **options)  # 7 7 7 2
    parts = [whole.part_of(rank, size) for rank in range(size)]
    for epoch in (0, 5):
        every = zip(*(part.epoch(epoch, 1) for part in parts), strict=True)
        for batch, (expected, own) in enumerate(
            zip(whole.epoch(epoch, 1), every, strict=True), 1
        ):
            n = whole.images_in(batch)
            assert n == len(expected[1])
            for k in (0, 1):  # images, labels
                if n < size:
                    found = own[0][k]
                    assert all(len(part[k]) == n for part in own)
                else:
                    found = np.concatenate([part[k] for part in own])
                np.testing.assert_array_equal(found, expected[k])
            for x, _ in own:
                assert x.transpose(0, 2, 3, 1).flags.c_contiguous


def test_images_in_a_batch():
    loader = BatchLoader(IMAGES, LABELS, 7)
    assert [loader.images_in(batch) for batch in range(4)] == [7, 7, 7, 2]
    assert loader.part_of(1, 2).images_in(3) == 2


@pytest.mark.parametrize(("rank", "size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_part_that_cannot_be_is_refused(rank, size):
    with pytest.raises(ValueError, match=r"BatchLoader.part_of: (rank|size) must be"):
        BatchLoader(IMAGES, LABELS, 7).part_of(rank, size)


def test_every_second_batch():
    loader = BatchLoader(IMAGES, LABELS, 4)
    whole, second = list(loader.epoch(1)), list(loader.epoch(1, 1, every=2))
    assert len(second) == 3
    for found, expected in zip(second, whole[1::2], strict=True):
        np.testing.assert_array_equal(found[0], expected[0])


class Seat(Ranks):
    """A rank of several that exchanges nothing."""

    def __init__(self, rank, size):
        super().__init__()
        self.rank, self.size = rank, size


def part(rank, size, images):
    rows = rows_of(images, rank, size)
    found = DataParallel(Seat(rank, size), lambda batch: images)
    return found, found.part(0, rows.stop - rows.start)


@pytest.mark.parametrize("images", [7, 12])
def test_dropout_drops_the_same_of_an_image_on_any_number_of_ranks(images):
    x = np.random.default_rng(1).standard_normal((images, 6))
    whole, expected = np.random.default_rng(4), []
    expected = [dropout(x, 0.4, whole)[0] for _ in range(2)]
    found = []
    for rank in range(3):
        parallel, own = part(rank, 3, images)
        rng = parallel.noise(np.random.default_rng(4), own)
        found.append([dropout(x[own.rows], 0.4, rng)[0] for _ in range(2)])
    for k in range(2):
        np.testing.assert_array_equal(
            np.concatenate([f[k] for f in found]), expected[k]
        )


def test_a_copy_of_the_noise_goes_on_alike():
    parallel, own = part(1, 2, 8)
    rng = parallel.noise(np.random.default_rng(4), own)
    rng.random((4, 3))
    again = copy.deepcopy(rng)
    assert isinstance(again, RowsOfBatch)
    np.testing.assert_array_equal(again.random((4, 2)), rng.random((4, 2)))
    assert again.random() == rng.random()


def test_shares_add_up_and_a_batch_of_fewer_images_than_ranks_is_rank_0s():
    shares = [part(rank, 3, 10)[1].share for rank in range(3)]
    assert shares == [3 / 10, 3 / 10, 4 / 10]
    few = [part(rank, 3, 2)[1] for rank in range(3)]
    assert [p.share for p in few] == [1, 0, 0] and all(p.whole for p in few)
