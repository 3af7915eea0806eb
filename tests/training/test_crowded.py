"""The number of threads follows the time of the steps where cores are crowded."""

from types import SimpleNamespace

import pytest

from odyssey.training import crowded
from odyssey.training.crowded import Crowd


class Machine:
    """A machine with as many threads as asked for, whose clock the steps move on."""

    def __init__(self, monkeypatch, threads, seconds, rate):
        self.threads, self.now, self.count = threads, 0.0, 0.0
        self.seconds, self.rate = seconds, rate  # of a step, of a thread, by threads
        kernels = SimpleNamespace(
            get_num_threads=lambda: self.threads, set_num_threads=self.use
        )
        monkeypatch.setattr(crowded, "numba", kernels)
        monkeypatch.setattr(crowded, "num_threads", lambda: self.threads)
        monkeypatch.setattr(crowded, "interruptions", lambda: self.count)
        monkeypatch.setattr(
            crowded, "time", SimpleNamespace(monotonic=lambda: self.now)
        )

    def use(self, threads):
        self.threads = threads

    def run(self, crowd, steps):
        """Return the number of threads of each step."""
        used = []
        for _ in range(steps):
            used.append(self.threads)
            seconds = self.seconds[self.threads]
            self.now += seconds
            self.count += self.rate * self.threads * seconds
            crowd.step(seconds)
        return used


def test_a_quiet_machine_keeps_its_threads(monkeypatch):
    machine = Machine(monkeypatch, 2, {1: 0.01, 2: 0.05}, rate=20)
    assert set(machine.run(Crowd(), 500)) == {2}


def test_fewer_threads_are_kept_where_they_are_faster(monkeypatch):
    machine = Machine(monkeypatch, 2, {1: 0.05, 2: 0.07}, rate=200)
    used = machine.run(Crowd(), 600)
    assert used[:3] == [2, 2, 2] and used[3:60] == [1] * 57
    # two are tried now and then: three steps each time
    assert 0 < used.count(2) < 50


def test_fewer_threads_are_given_up_where_they_are_slower(monkeypatch):
    machine = Machine(monkeypatch, 2, {1: 0.07, 2: 0.05}, rate=200)
    used = machine.run(Crowd(), 600)
    assert used[3:7] == [1, 1, 1, 2] and 0 < used.count(1) < 50


@pytest.mark.parametrize("most", [2, 8, 6])
def test_all_threads_work_again_when_the_cores_are_free(monkeypatch, most):
    counts = {n: 0.05 + n / 100 for n in range(1, most + 1)}
    machine = Machine(monkeypatch, most, counts, rate=200)
    crowd = Crowd()
    machine.run(crowd, 500)
    assert machine.threads == 1
    machine.seconds, machine.rate = {n: 0.3 / n for n in counts}, 20
    used = machine.run(crowd, 500)
    assert used[-1] == most and set(used[-50:]) == {most}


def test_one_thread_stays_one(monkeypatch):
    machine = Machine(monkeypatch, 1, {1: 0.05}, rate=500)
    assert set(machine.run(Crowd(), 100)) == {1}


def test_the_number_is_restored(monkeypatch):
    machine = Machine(monkeypatch, 4, {1: 0.05, 2: 0.06, 4: 0.09}, rate=300)
    crowd = Crowd()
    machine.run(crowd, 200)
    assert machine.threads < 4
    crowd.restore()
    assert machine.threads == 4


def test_interruptions_are_counted():
    before = crowded.interruptions()
    assert isinstance(before, int) and crowded.interruptions() >= before >= 0
