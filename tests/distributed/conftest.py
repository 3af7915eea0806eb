"""Programs under a real mpiexec, of MPICH and of Open MPI."""

import pytest
from launchers import LAUNCHERS, Launcher


@pytest.fixture(params=LAUNCHERS, scope="session")
def launcher(request) -> Launcher:
    """The launchers by turns; skipped where one is not to be had."""
    found = LAUNCHERS[request.param]()
    if isinstance(found, str):
        pytest.skip(found)
    return found
