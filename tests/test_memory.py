import gc
import resource
import threading

import numpy as np
import pytest

from odyssey import memory

SHAPE = (3, 512, 1024)  # 6 MiB of float32
MIB = 2**20


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    memory.release()
    yield
    memory.release()


def address(array):
    return array.__array_interface__["data"][0]


def resident():
    """Return the bytes of memory that this process occupies."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_memory_of_an_array_that_is_gone_is_used_again():
    first = memory.empty(SHAPE, np.float32)
    where = address(first)
    del first
    assert address(memory.empty(SHAPE, np.float32)) == where
    assert address(memory.empty((2, 512, 1024), np.float32)) == where


def test_an_array_that_lives_keeps_its_memory():
    first = memory.empty(SHAPE, np.float32)
    first[...] = 1
    view = first.transpose(2, 1, 0)[5:7]
    del first  # the view is enough
    second = memory.empty(SHAPE, np.float32)
    second[...] = 2
    assert (view == 1).all()
    assert not np.shares_memory(view, second)


def test_a_gap_is_cut_and_joined_again():
    """Parts of a deleted array's memory serve small ones, and together a large one."""
    large = memory.empty((16 * MIB,), np.uint8)
    after = memory.empty((MIB,), np.uint8)  # so that the gap has an end
    where = address(large)
    del large
    parts = [memory.empty((4 * MIB,), np.uint8) for _ in range(4)]
    assert sorted(map(address, parts)) == [where + i * 4 * MIB for i in range(4)]
    del parts[1]
    assert address(memory.empty((3 * MIB,), np.uint8)) == where + 4 * MIB
    for order in ((0, 2, 1), (2, 0, 1), (1, 0, 2), (0, 1, 2)):
        rest = [memory.empty((5 * MIB,), np.uint8) for _ in range(3)]
        for at in order:
            rest[at] = None
    del parts
    assert address(memory.empty((16 * MIB,), np.uint8)) == where
    assert len(after) == MIB


def test_the_smallest_gap_that_fits_is_used():
    arrays = [memory.empty((size * MIB,), np.uint8) for size in (8, 1, 4, 1, 6, 1)]
    where = address(arrays[2])
    for at in (0, 2, 4):
        arrays[at] = None
    assert address(memory.empty((3 * MIB,), np.uint8)) == where


def test_where_address_space_is_scarce_there_are_several_stretches(monkeypatch):
    before = len(memory._stretches)
    monkeypatch.setattr(memory, "_gaps", [])
    monkeypatch.setattr(memory, "_address_space", lambda: 4 * MIB)
    arrays = [memory.empty((size * MIB,), np.uint8) for size in (3, 2, 9, 1)]
    for number, array in enumerate(arrays):
        array[...] = number
    assert len(memory._stretches) == before + 3
    assert [set(array[[0, -1]].tolist()) for array in arrays] == [{0}, {1}, {2}, {3}]


def test_without_memory_the_error_is_that_of_numpy():
    with pytest.raises(MemoryError, match="Unable to allocate"):
        memory.empty((2**55,), np.uint8)


def test_arrays_begin_with_a_line_of_the_cache_and_are_writeable():
    for shape in (SHAPE, (1, 300_001), (2**20,)):
        array = memory.empty(shape, np.float32)
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert address(array) % 64 == 0


def test_release_gives_back_what_is_free():
    kept = memory.empty(SHAPE, np.float32)
    kept[...] = 1
    before = resident()
    array = memory.empty((128 * MIB,), np.uint8)
    array[...] = 2
    del array
    assert resident() >= before + 120 * MIB
    memory.release()
    assert resident() <= before + 8 * MIB
    assert (kept == 1).all()


def test_threads_never_get_the_same_memory():
    got, barrier = [], threading.Barrier(4)

    def take():
        barrier.wait()
        got.extend(memory.empty(SHAPE, np.float32) for _ in range(5))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({address(array) for array in got}) == 20


def test_a_workspace_is_the_same_memory_at_each_call_of_a_thread():
    first = memory.workspace("test", (4, 5), np.float32)
    assert address(memory.workspace("test", (2, 5), np.float64)) == address(first)
    assert address(memory.workspace("other", (4, 5), np.float32)) != address(first)
    elsewhere = []
    thread = threading.Thread(
        target=lambda: elsewhere.append(memory.workspace("test", (4, 5), np.float32))
    )
    thread.start()
    thread.join()
    assert not np.shares_memory(elsewhere[0], first)


def test_a_large_workspace_is_anothers_memory_after_its_use():
    first = memory.workspace("test", SHAPE, np.float32)
    where = address(first)
    del first
    assert address(memory.empty(SHAPE, np.float32)) == where
