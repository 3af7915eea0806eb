"""Durations where the system's clock does not keep its promises."""

import csv
import itertools
import time

import pytest
from standin import run
from test_loop import same_run

from odyssey.training.clock import Stopwatch, clock
from odyssey.training.profile import profile


def ticking(monkeypatch, *moments):
    """Have the system's clock show these moments, then the last for ever."""
    start = time.perf_counter()
    shown = itertools.chain(moments, itertools.repeat(moments[-1]))
    monkeypatch.setattr(time, "perf_counter", lambda: start + next(shown))


def test_a_step_back_counts_as_no_time(monkeypatch):
    ticking(monkeypatch, 1, 3, -1000, -999.5, 7)
    watch = Stopwatch()
    laps = [watch.lap() for _ in range(5)]
    assert laps == pytest.approx([2, 0, 0.5, 1006.5, 0])
    assert all(lap >= 0 for lap in laps)
    assert clock() <= clock()


@pytest.mark.parametrize("rate", [-1.0, 0.0, 1.0])
def test_a_run_has_no_negative_times(tmp_path, monkeypatch, rate):
    run(tmp_path / "reference")
    ticks = itertools.count()
    start = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: start + rate * next(ticks))
    run(tmp_path / "run", log_interval=1)
    with open(tmp_path / "run" / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        seconds, speed = float(row["seconds"]), float(row["images_per_second"])
        if rate > 0:  # a second for each of five steps, one for the evaluation
            assert (seconds, speed) == (6.0, 8.0)
        else:
            assert (seconds, speed) == (0.0, 0.0)
    same_run(tmp_path / "run", tmp_path / "reference")


def test_a_profile_has_no_negative_times(monkeypatch):
    ticks = itertools.count(0, -1)
    start = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: start + next(ticks))
    measured = profile(lambda: None)
    assert measured["seconds"] == 0.0
