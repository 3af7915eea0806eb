"""Programs under a real mpiexec, of MPICH and of Open MPI."""

import os
import sys
from pathlib import Path

import pytest
from launchers import LAUNCHERS, MPICH, Launcher

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / "training"), str(_TESTS.parent / "examples")]


#: Files whose tests take seconds each, which go first: so that none is left over in the
#: end, when one process has nothing else to do.
LONG = "test_one_function.py", "test_training.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items) -> None:
    """Put tests that take long before all others of ranks."""
    here = Path(__file__).parent
    places = [i for i, item in enumerate(items) if item.path.parent == here]
    of_ranks = [items[i] for i in places]
    of_ranks.sort(key=lambda item: item.path.name not in LONG)
    for i, item in zip(places, of_ranks, strict=True):
        items[i] = item


@pytest.fixture(params=LAUNCHERS, scope="session")
def launcher(request) -> Launcher:
    """The launchers by turns; skipped where one is not to be had."""
    found = LAUNCHERS[request.param]()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def mpich() -> Launcher:
    """MPICH, where what is tested does not depend on the launcher."""
    found = LAUNCHERS[MPICH]()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder for all processes of pytest-xdist, whose own lie beside each other."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
