"""Files that are damaged at random, for tests that look for an unforeseen error.

A reader may return tensors, as not every change is damage, or raise `FormatError`.  All
else is a fault of the reader.  ``ODYSSEY_FUZZ=20000 pytest tests/formats/test_fuzz.py``
tries that many files with each test.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: Tests of readers: the same files in each run of the suite, or new ones on request.
EXAMPLES = int(os.environ.get("ODYSSEY_FUZZ", "0"))
fuzzed = settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SPECIAL = [0, 1, 0x7F, 0x80, 0xFF]


@st.composite
def damaged(draw, content):
    """Return bytes with a few of them changed, removed, repeated or inserted."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        count = draw(st.sampled_from([1, 1, 1, 2, 4, 8, 60, 10**6]))
        end = min(start + count, len(data))
        match draw(
            st.sampled_from(["bit", "bytes", "remove", "repeat", "cut", "move"])
        ):
            case "bit" if start < end:
                data[start] ^= 1 << draw(st.integers(0, 7))
            case "bytes":
                data[start:end] = bytes([draw(st.sampled_from(SPECIAL))]) * (
                    end - start
                )
            case "remove":
                del data[start:end]
            case "repeat":
                data[start:start] = data[start:end]
            case "cut":
                del data[start:]
            case "move":
                piece = data[start:end]
                del data[start:end]
                place = draw(st.integers(0, len(data)))
                data[place:place] = piece
    return bytes(data)


def numbers(*near):
    """Return a strategy of whole numbers: near those of a format's limits, or any."""
    limits = [0, 2**31, 2**32, 2**62, 2**63, 2**64, *near]
    close = st.sampled_from(limits).flatmap(lambda n: st.integers(n - 2, n + 2))
    return st.one_of(close, st.integers(0, 64), st.integers())
