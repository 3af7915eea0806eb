"""Fetch a file from a test server, and expect success or an error."""

import hashlib

import numpy as np
import pytest

from odyssey.data import transfer
from odyssey.data.transfer import Session

BODY = np.random.default_rng(0).bytes(100_000)
OTHER = np.random.default_rng(1).bytes(100_000)
MD5 = hashlib.md5(BODY).hexdigest()
KEPT = 40_000  # bytes of a part


def fetch(server, part, **options):
    """Fetch BODY and return the waits between the attempts."""
    waits = []
    options = {"retries": 3, "timeout": 5, "sleep": waits.append, **options}
    with Session() as session:
        transfer.fetch(server.url, part, MD5, session=session, **options)
    assert part.read_bytes() == BODY
    return waits


def fetch_fails(error, server, part, match, **options):
    """Expect exactly this error."""
    with pytest.raises(error, match=match) as caught:
        fetch(server, part, **options)
    assert type(caught.value) is error
