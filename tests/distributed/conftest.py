"""Programs under a real mpiexec, of MPICH and of Open MPI."""

import sys
from pathlib import Path

import pytest
from launchers import LAUNCHERS, Launcher

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / "training"), str(_TESTS.parent / "examples")]


@pytest.fixture(params=LAUNCHERS, scope="session")
def launcher(request) -> Launcher:
    """The launchers by turns; skipped where one is not to be had."""
    found = LAUNCHERS[request.param]()
    if isinstance(found, str):
        pytest.skip(found)
    return found
