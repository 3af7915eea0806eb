import gc
import threading

import numpy as np
import pytest

from odyssey import memory

SHAPE = (3, 512, 1024)  # 6 MiB of float32


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    memory.release()
    yield
    memory.release()


def address(array):
    return array.__array_interface__["data"][0]


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


def test_small_arrays_do_not_hold_large_memory():
    first = memory.empty((8 * 2**20,), np.uint8)
    where = address(first)
    del first
    assert address(memory.empty((2 * 2**20,), np.uint8)) != where


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
    memory.empty(SHAPE, np.float64)  # gone at once
    assert memory.release() >= 8 * 3 * 512 * 1024
    assert memory.release() == 0
    kept[...] = 0


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
