"""Fixtures of the tests of data."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Return the function that writes files below ``tmp_path``, with their folders."""

    def write(*names, content=b""):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return write
