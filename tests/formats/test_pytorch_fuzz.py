"""Checkpoints changed at random are read, or refused by an error of ours."""

import contextlib
import os
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_goldens import read
from pytorch_mutations import changed_file, check_whole

from odyssey.formats.tensor_file import FormatError

#: For a longer search: ODYSSEY_FUZZ=100000 python -m pytest -s THIS_FILE
EXAMPLES = int(os.environ.get("ODYSSEY_FUZZ", "1500"))


# pickletools decodes the text of instructions that are then refused.
@pytest.mark.filterwarnings("ignore:invalid escape:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:invalid octal:DeprecationWarning")
def test_random_damage_is_an_error_of_ours_or_harmless(tmp_path):
    counts, slowest = Counter(), 0.0

    @settings(
        max_examples=EXAMPLES,
        derandomize="ODYSSEY_FUZZ" not in os.environ,
        deadline=None,
        database=None,
    )
    @given(st.integers(0, 2**64 - 1))
    def search(seed):
        nonlocal slowest
        raw = changed_file(seed)
        counts["files"] += 1
        start = time.process_time()
        with contextlib.suppress(FormatError):
            check_whole(read(tmp_path, raw))
            counts["read"] += 1
        slowest = max(slowest, time.process_time() - start)

    search()
    print(dict(counts), f"slowest {slowest:.2f} s")
    # Neither is all damage refused at the first look, nor is everything read.
    assert counts["files"] / 10 < counts["read"] < counts["files"] * 0.9
