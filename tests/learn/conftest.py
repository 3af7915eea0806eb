"""Fixtures of the course's tests."""

import pytest
from click.testing import CliRunner

from odyssey.cli.main import main


@pytest.fixture
def learn(tmp_path, monkeypatch):
    """Run a command of the course in an empty current folder; return its result."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(main, ["learn", *map(str, words)])

    return run
