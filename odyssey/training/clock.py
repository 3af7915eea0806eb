"""A clock for durations that never goes back."""

import time

_last = time.perf_counter()
_seconds = 0.0


def clock() -> float:
    """Return the seconds since a fixed moment, never fewer than before.

    `time.perf_counter` promises that too, but on some machines it goes back: on a
    virtual one that moves to another host, for example.  A step back counts as 0 s.
    """
    global _last, _seconds
    now = time.perf_counter()
    _seconds += max(0.0, now - _last)
    _last = now
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
