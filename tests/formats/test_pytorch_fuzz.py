"""Checkpoints changed at random are read, or refused by an error of ours."""

import contextlib
import os
import sys
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from pytorch_goldens import read
from pytorch_mutations import changed_files, is_whole

from odyssey.formats.tensor_file import FormatError

#: For a longer search: ODYSSEY_FUZZ=100000 python -m pytest -s THIS_FILE
EXAMPLES = int(os.environ.get("ODYSSEY_FUZZ", "400"))


# pickletools decodes the text of instructions that are then refused.
@pytest.mark.filterwarnings("ignore:invalid escape:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:invalid octal:DeprecationWarning")
def test_random_damage_is_an_error_of_ours_or_harmless(tmp_path):
    counts, slowest = Counter(), [0.0]

    @settings(
        max_examples=EXAMPLES,
        derandomize=EXAMPLES <= 400,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(changed_files())
    def search(raw):
        start = time.perf_counter()
        with contextlib.suppress(FormatError):
            counts["files"] += 1
            assert is_whole(read(tmp_path, raw))
            counts["read"] += 1
        slowest[0] = max(slowest[0], time.perf_counter() - start)

    search()
    print(dict(counts), f"slowest {slowest[0]:.2f} s", file=sys.stderr)
    assert counts["files"] >= EXAMPLES
    # Neither is all damage refused at the first look, nor is everything read.
    assert EXAMPLES / 20 < counts["read"] < EXAMPLES * 0.9
