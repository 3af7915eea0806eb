"""The processes of a run, its ranks, and what they tell each other.

Rank 0 writes, logs and prints.  Every method that exchanges something is collective:
all ranks call it, in the same order.  What it returns is the same on every rank, to the
bit, and it does not depend on how MPI sums: where an order matters, the values of all
ranks are gathered and summed here, in the order of the ranks.

A process that was not started by mpiexec is `ALONE`: one rank, and nothing is imported.
"""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

#: Seconds between two looks at whether the others have come, in `Ranks.wait`.
PATIENCE = 0.005


class Ranks:
    """The ranks of a run, as seen by one of them.

    Parameters
    ----------
    comm : mpi4py's communicator of all ranks; None for a process alone

    Attributes
    ----------
    rank, size : the number of this rank, from 0, and how many there are
    """

    def __init__(self, comm: Any = None) -> None:
        self.comm = comm
        self.rank: int = 0 if comm is None else comm.Get_rank()
        self.size: int = 1 if comm is None else comm.Get_size()

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes, logs and prints."""
        return self.rank == 0

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Return the values (k,) of all ranks in their order, (size, k)."""
        values = np.ascontiguousarray(values)
        every = np.empty((self.size, *values.shape), values.dtype)
        if self.comm is None:
            every[0] = values
        else:
            self.comm.Allgather(values, every)
        return every

    def begin_gather(self, values: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin what `gather` does; return the function that ends it.

        ``values`` must not change until then.
        """
        if self.comm is None:
            return lambda: self.gather(values)
        every = np.empty((self.size, *values.shape), values.dtype)
        request = self.comm.Iallgather(values, every)

        def end(kept: np.ndarray = values) -> np.ndarray:  # the request keeps neither
            request.Wait()
            return every

        return end

    def exchange(self, values: np.ndarray) -> np.ndarray:
        """Send row r of ``values`` (size, k) to rank r; return the rows for this one.

        The result is (size, k): its row r is what rank r sent.
        """
        received = np.empty_like(values)
        if self.comm is None:
            received[...] = values
        else:
            self.comm.Alltoall(values, received)
        return received

    def sum_inplace(self, x: np.ndarray) -> None:
        """Replace ``x`` (n,), C-contiguous, by its sum, in an order that MPI chooses.

        The order depends on the library and on n, but not on the run.
        """
        if self.comm is not None:
            self.comm.Allreduce(_in_place(), x)

    def begin_sum(self, x: np.ndarray) -> Any:
        """Begin what `sum_inplace` does; return a request, to ``Test`` and ``Wait``.

        Begun sums have one order on all ranks, whatever else is exchanged meanwhile.
        """
        return self._sums.Iallreduce(_in_place(), x)

    @cached_property
    def _sums(self) -> Any:
        # Sums begin when earlier ones have ended, which is not the same moment on all
        # ranks: they have an order among themselves, but none beside other exchanges.
        return self.comm.Dup()

    def from_first(self, value: Any) -> Any:
        """Return the picklable value of rank 0."""
        return value if self.comm is None else self.comm.bcast(value)

    def copy_from_first(self, x: np.ndarray) -> None:
        """Replace ``x``, of any memory order, by that of rank 0, in place."""
        if self.comm is None:
            return
        values = np.ascontiguousarray(x)  # MPI would mix up another order silently
        self.comm.Bcast(values)
        if values is not x:
            np.copyto(x, values)

    def gather_objects(self, value: Any) -> list[Any]:
        """Return a small picklable value of each rank, in their order."""
        return [value] if self.comm is None else self.comm.allgather(value)

    def wait(self) -> None:
        """Wait until all ranks are here, asleep: another may need the core to come."""
        if self.comm is None:
            return
        request = self.comm.Ibarrier()
        while not request.Test():
            time.sleep(PATIENCE)


def _in_place() -> Any:
    from mpi4py import MPI

    return MPI.IN_PLACE


#: A process that was not started by mpiexec.
ALONE = Ranks()
