"""The ranks of a run as threads of this process, of which one runs at a time."""

import threading

import numpy as np

PATIENCE = 60  # seconds until ranks that do not come count as lost


class SimulatedRanks:
    """Ranks that gather values from each other.

    ``gathered`` holds what they gathered, (size, k) each, in order.
    """

    def __init__(self, size):
        self.size, self.gathered = size, []
        # Whoever holds the lock runs: kernels are not called by two threads at once.
        self._turn = threading.Condition()
        self._told = {}
        self._ended = 0

    def run(self, function):
        """Return what ``function(rank, gather)`` returns on each rank."""
        results, errors = [None] * self.size, []

        def one(rank):
            with self._turn:
                try:
                    results[rank] = function(rank, lambda v: self._gather(rank, v))
                except BaseException as error:
                    errors.append(error)
                self._ended += 1
                self._turn.notify_all()

        threads = [threading.Thread(target=one, args=(r,)) for r in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results

    def _gather(self, rank, values):
        number = len(self.gathered)
        self._told[rank] = np.array(values)
        if len(self._told) == self.size:
            self.gathered.append(np.stack([self._told[r] for r in range(self.size)]))
            self._told.clear()
            self._turn.notify_all()
        else:
            self._turn.wait_for(
                lambda: len(self.gathered) > number or self._ended, PATIENCE
            )
        if len(self.gathered) == number:
            raise RuntimeError(f"rank {rank} gathers, but others ended or do not come")
        return self.gathered[number].copy()
