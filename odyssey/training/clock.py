"""Seconds for durations: of a clock that never goes back, and that is checked."""

import time

_seen = time.perf_counter()
_seconds = 0.0


def clock() -> float:
    """Return seconds since a moment that never changes, never fewer than before.

    `time.perf_counter` promises that too, but not every machine keeps it: a virtual
    one that is moved to another may lose time.  A step back counts as no time at all.
    """
    global _seen, _seconds
    now = time.perf_counter()
    _seconds += max(0.0, now - _seen)
    _seen = now
    return _seconds


class Stopwatch:
    """Seconds since it was started or last read."""

    def __init__(self) -> None:
        self._start = clock()

    def lap(self) -> float:
        """Return the seconds since the last lap and start the next."""
        now = clock()
        seconds, self._start = now - self._start, now
        return seconds
