"""Reuse of the memory of large arrays.

The operating system hands out the memory of a large array page by page, filled with
zeros, and takes it back at the end.  For an activation, which is written once and read
a few times, this costs as much as its use.  So large arrays are pieces of one stretch
of memory that this module keeps.

A step of training makes arrays in the forward and deletes them in the backward, mostly
in the reverse order, of sizes that halve from stage to stage.  A gap between arrays is
therefore used by any that fit, cut to size, and joined with its neighbours when what is
beside it is deleted: gradients of the first stage come to lie where many smaller
activations of the later ones were.

The stretch is an address range as large as the machine's memory, of which only the
pages that were written to are occupied.  Where such a range is refused or counted, as
by ``ulimit -v``, several smaller ones serve.
"""

import bisect
import contextlib
import math
import mmap
import os
import threading
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

LARGE = 1 << 20  # bytes; smaller arrays are left to NumPy
CACHE_LINE = 64  # bytes; SIMD loads across two lines take twice as long
LEAST_STRETCH = 1 << 28  # bytes that are asked for where address space is scarce

ARRAY, WORKSPACE = "array", "workspace"  # what memory is taken for

_lock = threading.Lock()
_stretches: list[tuple[int, mmap.mmap]] = []  # address of the first byte, and memory
_gaps: list[tuple[int, int]] = []  # address and bytes, by address
_deleted: deque[tuple[int, int]] = deque()  # likewise, not yet among the gaps
_buffers = threading.local()
_watch: "Watch | None" = None


class Watch:
    """What large arrays occupy while it is on, see `watching`.

    Attributes
    ----------
    live : dict
        Those that live, by address: number in the order of their making, bytes, and
        `ARRAY` or `WORKSPACE`.
    most : dict
        The same when they were the most bytes.
    reached : int
        Bytes of the addresses that were used, the gaps between arrays included.
    """

    def __init__(self) -> None:
        self.live: dict[int, tuple[int, int, str]] = {}
        self.most: dict[int, tuple[int, int, str]] = {}
        self.made = self.size = self.peak = self.reached = 0

    def take(self, address: int, length: int, kind: str) -> None:
        """Count memory that an array gets."""
        self.made += 1
        self.live[address] = self.made, length, kind
        self.size += length
        begin = max(first for first, _ in _stretches if first <= address)
        self.reached = max(self.reached, address + length - begin)
        if self.size > self.peak:
            self.peak, self.most = self.size, dict(self.live)

    def give(self, address: int) -> None:
        """Count memory whose array is deleted."""
        _, length, _ = self.live.pop(address, (0, 0, ARRAY))
        self.size -= length


class _Block:
    """The memory of an array, which becomes a gap when the array's last view ends."""

    __slots__ = ("__array_interface__", "_place", "_stretches")

    def __init__(self, address: int, size: int, place: tuple[int, int]) -> None:
        self.__array_interface__ = {
            "version": 3,
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
        }
        self._place = place
        self._stretches = _stretches  # outlive it, even as the interpreter ends

    def __del__(self, deleted: deque = _deleted) -> None:
        # no lock: the interpreter may come here at any time, in any thread
        deleted.append(self._place)


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return an uninitialised array, if it is large in the memory of deleted ones."""
    return _make(shape, dtype, ARRAY)


def _make(shape: tuple[int, ...], dtype: DTypeLike, kind: str) -> np.ndarray:
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    length = -(-size // CACHE_LINE) * CACHE_LINE
    with _lock:
        _join_deleted()
        address = _take(length)
        if _watch is not None and address is not None:
            _watch.take(address, length, kind)
    if address is None:
        return np.empty(shape, dtype)
    block = _Block(address, size, (address, length))
    return np.asarray(block).view(dtype).reshape(shape)


def release() -> None:
    """Give the memory of deleted arrays back to the operating system."""
    with _lock:
        _join_deleted()
        for address, length in _gaps:
            for begin, stretch in _stretches:
                if begin <= address < begin + len(stretch):
                    first = -(-(address - begin) // mmap.PAGESIZE) * mmap.PAGESIZE
                    last = (address + length - begin) // mmap.PAGESIZE * mmap.PAGESIZE
                    if first < last and hasattr(mmap, "MADV_DONTNEED"):
                        stretch.madvise(mmap.MADV_DONTNEED, first, last - first)


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Count what large arrays occupy within, in all threads."""
    global _watch
    with _lock:
        _join_deleted()
        _watch = watch = Watch()
    try:
        yield watch
    finally:
        _watch = None


def live(watch: Watch) -> dict[int, tuple[int, int, str]]:
    """Return the large arrays that live now, as `Watch.live`."""
    with _lock:
        _join_deleted()
        return dict(watch.live)


def workspace(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return an uninitialised array for data that a kernel needs only while it runs.

    If it is small, the same name gives the same memory in a Python thread.  If it is
    large, its memory is that of other arrays before and after.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size >= LARGE:
        return _make(shape, dtype, WORKSPACE)
    buffer = getattr(_buffers, name, None)
    if buffer is None or buffer.nbytes < size:
        buffer = _aligned(np.empty(size + CACHE_LINE, np.uint8), size)
        setattr(_buffers, name, buffer)
    return buffer[:size].view(dtype).reshape(shape)


def _take(length: int) -> int | None:
    """Cut ``length`` bytes off the smallest gap that has them; return where they begin.

    None if there is no such gap, and no more memory.
    """
    fitting = [(size, at) for at, (_, size) in enumerate(_gaps) if size >= length]
    if not fitting:
        if not _reserve(length):
            return None
        return _take(length)
    size, at = min(fitting)
    address = _gaps[at][0]
    if size == length:
        del _gaps[at]
    else:
        _gaps[at] = address + length, size - length
    return address


def _join_deleted() -> None:
    """Make gaps of the memory of deleted arrays, joined with those beside them."""
    while _deleted:
        address, length = _deleted.popleft()
        if _watch is not None:
            _watch.give(address)
        at = bisect.bisect(_gaps, (address, 0))
        if at < len(_gaps) and _gaps[at][0] == address + length:
            length += _gaps.pop(at)[1]
        if at and sum(_gaps[at - 1]) == address:
            at -= 1
            before = _gaps.pop(at)
            address, length = before[0], before[1] + length
        _gaps.insert(at, (address, length))


def _reserve(length: int) -> bool:
    """Add a gap of at least ``length`` bytes of new memory; tell whether there is."""
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows: the whole range would be occupied
        return False
    length += 2 * CACHE_LINE
    size = max(length, _address_space())
    while True:
        try:
            stretch = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            break
        except (OSError, ValueError, OverflowError):
            if size == length:
                return False
            size = max(length, size // 2)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # as NumPy asks for its large arrays
        try:
            stretch.madvise(mmap.MADV_HUGEPAGE)
        except OSError:  # a kernel without them
            pass
    begin = np.frombuffer(stretch, np.uint8).__array_interface__["data"][0]
    _stretches.append((begin, stretch))
    # a line at the end stays free, so that no gap reaches into the next stretch
    bisect.insort(_gaps, (begin, size // CACHE_LINE * CACHE_LINE - CACHE_LINE))
    return True


def _address_space() -> int:
    """Return how many bytes to ask for: all of the memory where asking is free."""
    try:
        import resource

        limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
        with open("/proc/sys/vm/overcommit_memory") as file:
            limited |= file.read().strip() == "2"  # every page asked for counts
        if not limited:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError, ValueError, AttributeError):
        pass
    return LEAST_STRETCH


def _aligned(block: np.ndarray, size: int) -> np.ndarray:
    """Return ``size`` bytes of ``block`` that begin at a cache line."""
    start = -block.__array_interface__["data"][0] % CACHE_LINE
    return block[start : start + size]
