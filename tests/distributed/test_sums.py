"""Sums over ranks: their order, what is sent, and the block of gradients."""

import ml_dtypes
import numpy as np
import pytest
from threads_as_ranks import on_ranks

from odyssey.distributed import wire
from odyssey.distributed.gradients import GradientSum
from odyssey.distributed.ranks import ALONE
from odyssey.distributed.wire import ordered_sum_inplace
from odyssey.kernels import wire as kernels

BFLOAT16 = ml_dtypes.bfloat16


def numbers(rank, n, dtype=np.float32):
    rng = np.random.default_rng(rank)
    return (rng.standard_normal(n) * 10.0 ** rng.integers(-3, 4, n)).astype(dtype)


@pytest.mark.parametrize("piece", [5, 64, 1 << 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_sums_are_those_in_the_order_of_the_ranks(size, dtype, piece, monkeypatch):
    monkeypatch.setattr(wire, "PIECE", piece)
    n = 101
    expected = numbers(0, n, dtype)
    for rank in range(1, size):
        expected = expected + numbers(rank, n, dtype)

    def sum_(ranks):
        x = numbers(ranks.rank, n, dtype)
        ordered_sum_inplace(x, ranks)
        return x

    for found in on_ranks(size, sum_):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("piece", [7, 1 << 20])
@pytest.mark.parametrize("size", [2, 3])
def test_bfloat16_is_rounded_before_it_is_sent_and_once_after_the_sum(
    size, piece, monkeypatch
):
    monkeypatch.setattr(wire, "PIECE", piece)
    n = 50
    expected = np.zeros(n, np.float32)
    for rank in range(size):
        expected = expected + numbers(rank, n).astype(BFLOAT16).astype(np.float32)
    expected = expected.astype(BFLOAT16).astype(np.float32)

    def sum_(ranks):
        x = numbers(ranks.rank, n)
        ordered_sum_inplace(x, ranks, "bf16")
        return x

    for found in on_ranks(size, sum_):
        np.testing.assert_array_equal(found, expected)


def test_bfloat16_needs_float32():
    with pytest.raises(TypeError, match="x must be float32 for bf16"):
        ordered_sum_inplace(np.ones(3), ALONE, "bf16")


def test_rounding_is_ml_dtypes_for_all_upper_halves_and_what_lies_between():
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    for lower in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        words = upper + np.uint32(lower)
        bits = np.empty(words.size, np.uint16)
        kernels.round_to_bfloat16(words, bits)
        with np.errstate(all="ignore"):
            expected = words.view(np.float32).astype(BFLOAT16)
        numbers = ~np.isnan(words.view(np.float32))
        np.testing.assert_array_equal(bits[numbers], expected.view("u2")[numbers])
        assert np.isnan(bits[~numbers].view(BFLOAT16).astype(np.float32)).all()


def test_nan_and_infinity_arrive():
    def sum_(ranks):
        x = np.ones(4, np.float32)
        if ranks.rank == 1:
            x[1], x[2] = np.nan, np.inf
        ordered_sum_inplace(x, ranks, "bf16")
        return x

    for found in on_ranks(2, sum_):
        np.testing.assert_array_equal(found, [2, np.nan, np.inf, 2])


SHAPES = {"a": (3, 2, 3, 3), "b": (5,), "c": (4, 7), "d": (2,)}


def params(dtype):
    """Parameters of which one lies channels-last in memory, and one transposed."""
    made = {name: np.zeros(shape, dtype) for name, shape in SHAPES.items()}
    made["a"] = np.zeros((3, 3, 3, 2), dtype).transpose(0, 3, 1, 2)
    made["c"] = np.zeros((7, 4), dtype).T
    return made


def gradients(rank, dtype):
    rng = np.random.default_rng(rank)
    return {n: rng.standard_normal(s).astype(dtype) for n, s in SHAPES.items()}


@pytest.mark.parametrize(
    "options",
    [{}, {"overlap": False}, {"ordered": True}, {"overlap": False, "ordered": True}],
)
@pytest.mark.parametrize("bucket_bytes", [1, 100, 1 << 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_summed_whatever_their_memory_order(dtype, bucket_bytes, options):
    every = [gradients(rank, dtype) for rank in range(3)]
    expected = {n: every[0][n] + every[1][n] + every[2][n] for n in SHAPES}

    def sum_(ranks):
        total = GradientSum(ranks, params(dtype), bucket_bytes=bucket_bytes, **options)
        for _ in range(2):  # the block is used again
            own = gradients(ranks.rank, dtype)
            for name in ("d", "c"):  # found first in a backward
                own[name] = total.put(name, own[name])
            found = total.finish(own)
        for name, param in params(dtype).items():
            assert found[name].strides == param.strides
        assert all(bucket.numbers is None for bucket in total.buckets)
        return {n: g.copy() for n, g in found.items()}, ranks.summed

    for found, summed in on_ranks(3, sum_):
        assert list(found) == list(SHAPES)
        for name in SHAPES:
            np.testing.assert_array_equal(found[name], expected[name])
        if options.get("ordered"):
            assert not summed
        else:
            numbers_of = {1: [54, 5, 28, 2], 100: [54, 28, 7], 1 << 20: [89]}
            assert sorted(summed) == sorted(2 * numbers_of[bucket_bytes])


def test_a_sum_begins_when_a_bucket_is_complete_and_the_last_first():
    def sum_(ranks):
        total = GradientSum(ranks, params("f4"), bucket_bytes=1)
        own, begun = gradients(ranks.rank, "f4"), []
        for name in reversed(SHAPES):
            own[name] = total.put(name, own[name])
            begun.append(list(ranks.summed))
        total.finish(own)
        return begun, ranks.summed

    for begun, summed in on_ranks(2, sum_):
        assert begun == [[2], [2, 28], [2, 28, 5], [2, 28, 5, 54]]
        assert summed == begun[-1]


def test_a_large_gradient_is_summed_where_it_is_and_small_ones_together():
    def sum_(ranks):
        total = GradientSum(ranks, params("f4"), bucket_bytes=100)
        own = gradients(ranks.rank, "f4")
        own["c"] = np.asfortranarray(own["c"])  # as its parameter lies
        kept = {name: total.put(name, own[name]) for name in reversed(SHAPES)}
        found = total.finish(kept)
        return {n: np.shares_memory(found[n], own[n]) for n in SHAPES}, found

    every = [gradients(rank, "f4") for rank in range(2)]
    for shared, found in on_ranks(2, sum_):
        # "a" is not in the memory order of its parameter, "b" and "d" are small
        assert shared == {"a": False, "b": False, "c": True, "d": False}
        for name in SHAPES:
            np.testing.assert_array_equal(found[name], every[0][name] + every[1][name])


@pytest.mark.parametrize("kind", ["read-only", "foreign", "of every second number"])
def test_a_gradient_that_mpi_cannot_sum_in_place_is_copied(kind):
    def sum_(ranks):
        total = GradientSum(ranks, {"w": np.zeros(6, "f4")}, bucket_bytes=1)
        own = np.arange(6, dtype="f4")
        if kind == "read-only":
            own.flags.writeable = False
        elif kind == "foreign":
            own = own.astype(own.dtype.newbyteorder())
        else:
            own = np.repeat(own, 2)[::2]
        found = total.finish({"w": own})["w"]
        return found, own

    for found, own in on_ranks(2, sum_):
        np.testing.assert_array_equal(found, 2 * np.arange(6))
        np.testing.assert_array_equal(own, np.arange(6))


def test_a_large_bucket_is_summed_in_pieces_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr("odyssey.distributed.gradients.PIECE_BYTES", 40)
    monkeypatch.setattr("odyssey.distributed.gradients.AT_ONCE", 2)

    class Slow:
        """A sum that has ended when it is waited for."""

        def __init__(self, end):
            self.end, self.ended = end, False

        def Test(self):
            return self.ended

        def Wait(self):
            self.end()
            self.ended = True

    def sum_(ranks):
        sizes, running, most = [], [], []

        def begin_sum(x):
            request = Slow(lambda: ranks.sum_inplace(x))
            sizes.append(x.size)
            running.append(request)
            most.append(sum(not other.ended for other in running))
            return request

        ranks.begin_sum = begin_sum
        total = GradientSum(ranks, params("f4"), bucket_bytes=100)
        found = total.finish(gradients(ranks.rank, "f4"))
        return sizes, max(most), found

    every = [gradients(rank, "f4") for rank in range(2)]
    for sizes, most, found in on_ranks(2, sum_):
        assert sizes == [10, 10, 8, 7, 10, 10, 10, 10, 10, 4]
        assert most == 2
        for name in SHAPES:
            np.testing.assert_array_equal(found[name], every[0][name] + every[1][name])


def test_sums_begin_in_one_order_whatever_the_order_of_the_gradients():
    """On a rank that computes nothing of a short batch they come in another one."""

    def sum_(ranks):
        total = GradientSum(ranks, params("f4"), bucket_bytes=1)
        own = gradients(ranks.rank, "f4")
        for name in SHAPES if ranks.rank else reversed(SHAPES):
            own[name] = total.put(name, own[name]) if ranks.rank else own[name]
        found = total.finish(own)
        return {n: g.copy() for n, g in found.items()}, ranks.summed

    every = [gradients(rank, "f4") for rank in range(2)]
    for found, summed in on_ranks(2, sum_):
        assert summed == [2, 28, 5, 54]
        for name in SHAPES:
            np.testing.assert_array_equal(found[name], every[0][name] + every[1][name])


def test_gradients_of_parameters_that_are_not_trained_are_not_needed():
    def sum_(ranks):
        total = GradientSum(ranks, params("f4"), bucket_bytes=100)
        own = {n: np.ones(SHAPES[n], "f4") for n in ("a", "d")}
        return {n: g.copy() for n, g in total.finish(own).items()}

    for found in on_ranks(2, sum_):
        assert list(found) == ["a", "d"]
        assert all((g == 2).all() for g in found.values())
