"""Threads of the kernels: forks, Python threads at once, and how they wait."""

import json
import os
import subprocess
import sys

import numba
import pytest
from numba.core.registry import CPUDispatcher

from odyssey import forks, threads
from odyssey.kernels.elementwise import relu_forward

HEAD = """
import json, os, signal, sys, threading, numba, numpy as np, odyssey
x = np.array([-1, 2], np.float32)

def forked(function):
    "Return what a forked process printed, and its status."
    sys.stdout.flush()
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        with open(reading) as file:
            said = file.read()
        return said, os.waitpid(pid, 0)[1]
    signal.alarm(30)  # for what would wait for ever
    try:
        said = function()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    os.write(writing, str(said).encode())
    os._exit(0)

relu = lambda: odyssey.relu(x).tolist()
"""

#: Two generations of children after a kernel, one of a kernel imported only there.
FORKS = """
before = forked(relu)
relu()
later = lambda: odyssey.add(x, x).tolist()
print(json.dumps([before, forked(relu), forked(lambda: forked(relu)), forked(later)]))
print(json.dumps([numba.threading_layer(), relu(), os.environ.get("GOMP_SPINCOUNT")]))
"""

#: Numba's threads are there before any module of kernels is.
EARLY = """
numba.set_num_threads(1)
print(json.dumps(forked(relu)))
"""

AT_ONCE = """
big = np.ones((64, 64, 16, 16), np.float32)
threads = [
    threading.Thread(target=lambda: [odyssey.relu(big) for _ in range(20)])
    for _ in range(3)
]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([numba.threading_layer(), relu(), forked(relu)]))
"""


def run(program, **variables):
    environment = {k: v for k, v in os.environ.items() if k not in threads.WAITING}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD + program],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return [*lines, result.stderr]


gnu_openmp = pytest.mark.skipif(
    not hasattr(os, "fork")
    or threads.num_threads() < 1
    or forks.openmp_vendor() != "GNU",
    reason="another threading layer",
)


@gnu_openmp
def test_a_fork_after_a_kernel_gets_an_error_that_says_what_to_do():
    (before, *after), (layer, out, spin), stderr = run(FORKS, OMP_DISPLAY_ENV="verbose")
    assert before == ["[0.0, 2.0]", 0]
    (child, status), (grandchild, _), (later, _) = after
    assert status == 0
    assert child.startswith("RuntimeError: kernels cannot run in a process forked from")
    for remedy in ("'spawn'", "'forkserver'", "NUMBA_THREADING_LAYER=workqueue"):
        assert remedy in child
    assert grandchild == repr((child, 0))
    assert later == child
    # The parent goes on; its threads spin briefly, and its children's as they will.
    assert (layer, out, spin) == ("omp", [0.0, 2.0], None)
    assert f"GOMP_SPINCOUNT = '{threads.SPIN_COUNT}'" in stderr


@gnu_openmp
def test_a_fork_after_the_threads_were_begun_elsewhere():
    (said, status), _ = run(EARLY)
    assert said.startswith("RuntimeError: kernels cannot run in a process forked from")
    assert status == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_python_threads_take_turns_where_the_layer_bears_only_one():
    (layer, out, (said, status)), _ = run(AT_ONCE, NUMBA_THREADING_LAYER="workqueue")
    assert (layer, out) == ("workqueue", [0.0, 2.0])
    assert (said, status) == ("[0.0, 2.0]", 0)  # and it survives a fork


@gnu_openmp
def test_a_policy_of_the_user_is_left_alone():
    program = "relu(); print(json.dumps(odyssey.threads.how_threads_wait()))"
    said, stderr = run(program, OMP_WAIT_POLICY="passive", OMP_DISPLAY_ENV="verbose")
    assert said == "as the environment says (OMP_WAIT_POLICY=passive)"
    assert f"GOMP_SPINCOUNT = '{threads.SPIN_COUNT}'" not in stderr


COUNT = """
import odyssey.threads
odyssey.threads.cpu_quota = lambda: 0.5
print(json.dumps([relu(), numba.get_num_threads()]))
"""


@pytest.mark.parametrize("told, threads", [(None, 1), ("3", 3)])
def test_the_first_kernel_fits_a_quota_unless_it_is_told(monkeypatch, told, threads):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    variables = {} if told is None else {"NUMBA_NUM_THREADS": told}
    (out, number), _ = run(COUNT, **variables)
    assert (out, number) == ([0.0, 2.0], threads)


def test_a_kernel_that_runs_is_numbas_own_and_looks_nothing_up():
    assert threads.num_threads() == numba.get_num_threads()
    plain = numba.threading_layer() != "workqueue"
    assert (type(relu_forward) is CPUDispatcher) == plain


@gnu_openmp
def test_how_threads_wait(monkeypatch):
    for name in threads.WAITING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_waits_briefly", True)
    assert threads.how_threads_wait() == (
        f"spin briefly, then sleep (GOMP_SPINCOUNT={threads.SPIN_COUNT})"
    )
    monkeypatch.setattr(threads, "_waits_briefly", False)  # it was loaded before
    assert threads.how_threads_wait() == "as GNU OpenMP does by default"
    monkeypatch.setattr(forks, "openmp_vendor", lambda: None)
    assert threads.how_threads_wait() == "as the threading layer does"
