"""Fewer threads while other programs use the same cores.

A parallel kernel ends when its last thread does.  Where other programs are busy on the
same cores, one of the threads is usually waiting for its turn, some milliseconds, and
the others wait for it: two threads can be slower than one.  The operating system counts
how often a process was interrupted while it had work to do.  Where that happens often,
half of the threads are tried for a few steps, and kept if these take less time.  Later
more are tried in the same way, so that all of them work again once the cores are free.

The results have the same bits for any number of threads, so nothing but time depends on
this.  On a quiet machine nothing is tried.
"""

import statistics
import time

import numba

from odyssey.threads import num_threads

try:
    import resource
except ImportError:  # on Windows, where nothing is counted, and nothing tried
    resource = None  # type: ignore[assignment]

#: Interruptions of a thread in a second from which on the cores count as crowded.  On a
#: quiet machine there are 10 to 25, where each core has another busy program over 100.
INTERRUPTIONS = 50
#: Steps that are compared, and the seconds that they take at least.
STEPS, SECONDS = 3, 0.1
#: A number of threads is changed for this share of the time, or less.
GAIN = 0.95
#: Seconds until the next number is tried.
REST = 3.0


def interruptions() -> int:
    """Return how often this process has been interrupted so far; 0 if unknown."""
    if resource is None:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


class Crowd:
    """Choose the number of threads for the next steps, by the time of the last ones."""

    def __init__(self) -> None:
        self.most = self.threads = num_threads()
        self._trying = False
        self._usual = 0.0  # seconds of a step with self.threads
        self._rest = 0.0
        self._begin()

    def step(self, seconds: float) -> None:
        """Take note of a step's time, and perhaps change the number of threads."""
        self._steps.append(seconds)
        if len(self._steps) < STEPS or sum(self._steps) < SECONDS:
            return
        typical, elapsed = statistics.median(self._steps), time.monotonic() - self._at
        rate = (interruptions() - self._count) / elapsed / numba.get_num_threads()
        if self._trying:
            self._trying, self._rest = False, REST
            if typical <= GAIN * self._usual:
                self.threads = numba.get_num_threads()
            numba.set_num_threads(self.threads)
        else:
            self._rest -= elapsed
            if self._rest <= 0:
                self._try(rate, typical)
        self._begin()

    def restore(self) -> None:
        """Use as many threads as before the first step."""
        numba.set_num_threads(self.most)

    def _try(self, rate: float, typical: float) -> None:
        if rate > INTERRUPTIONS and self.threads > 1:
            tried = self.threads // 2
        elif self.threads < self.most:
            tried = min(self.most, 2 * self.threads)
        else:
            return
        self._trying, self._usual = True, typical
        numba.set_num_threads(tried)

    def _begin(self) -> None:
        self._steps: list[float] = []
        self._at, self._count = time.monotonic(), interruptions()
