"""Measure memory."""

import tracemalloc

import pytest


@pytest.fixture
def peak():
    """Return the function from a call to the most bytes that were allocated in it."""

    def measured(call):
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measured
