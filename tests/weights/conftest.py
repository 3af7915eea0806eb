"""Fixtures for the tests of files."""

import os

import pytest


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch):
    """Skip fsync, which only protects against power cuts.

    What is flushed before what is seen in ``test_flush_order.py``.
    """
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
