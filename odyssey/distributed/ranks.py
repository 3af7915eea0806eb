"""The processes of a run, its ranks, and what they tell each other.

Rank 0 writes, logs and prints.  Every method that exchanges something is collective:
all ranks call it, in the same order.  What it returns is the same on every rank, to the
bit, and it does not depend on how MPI sums: where an order matters, the values of all
ranks are gathered and summed here, in the order of the ranks.

A process that was not started by mpiexec is `ALONE`: one rank, and nothing is imported.
"""

import time
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


#: A process that was not started by mpiexec.
ALONE = Ranks()
