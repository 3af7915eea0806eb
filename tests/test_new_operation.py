"""A new operation is written down in four places; all else finds it there.

They are its file in ``odyssey/ops``, with the derivation in it, its twin's file, and
its cases in ``odyssey/op_specs.py``.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PACKAGE = TESTS.parent / "odyssey"

OPERATION = '''"""The negative of an array.

Where out = -x, each element of x counts in the loss by -1: grad_input = -grad_output.
"""

from functools import partial

import numpy as np

__all__ = ["negate", "negate_backward"]


def negate(x):
    """Return -x."""
    return np.negative(x)


def negate_backward(grad_output, x):
    """Return grad_input."""
    return np.negative(grad_output)


def kernel_calls(dtype):
    """Return calls that between them reach every kernel used here."""
    return [partial(negate, np.ones(2, dtype))]
'''
TWIN = '''"""The negative of an array."""


def negate(x):
    """Return -x."""
    return -x


def negate_backward(grad_output, x):
    """Return grad_input."""
    # -x
    return -grad_output
'''
CASES = """OPS = (
    OpSpec("negate", (Case("rows", ((3, 4),)),), bars=(0, 0), linear_in={0: ()}),
"""
DERIVED = """
import odyssey
from odyssey import lazy, reference, warmup


def test_what_is_derived_has_negate():
    assert odyssey.negate.__module__ == "odyssey.ops.negation"
    assert reference.negate.__module__ == "odyssey.reference.negation"
    line = "from odyssey.ops.negation import negate as negate"
    assert line in lazy.stub(odyssey._HOMES)
    assert odyssey.negate in [call.func for call in warmup.calls("float32")]
"""


def test_a_new_operation_is_found_everywhere(tmp_path):
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "odyssey", ignore=ignored)
    tests = tmp_path / "tests"
    tests.mkdir()
    for name in ("op_checks.py", "test_inventory.py", "ops/test_all_ops.py"):
        shutil.copy(TESTS / name, tests)
    shutil.copytree(
        TESTS.parent / "docs" / "derivations", tmp_path / "docs/derivations"
    )
    specs = (PACKAGE / "op_specs.py").read_text("utf-8")
    assert specs.count("OPS = (\n") == 1

    (tmp_path / "odyssey" / "ops" / "negation.py").write_text(OPERATION)
    (tmp_path / "odyssey" / "reference" / "negation.py").write_text(TWIN)
    changed = specs.replace("OPS = (\n", CASES)
    (tmp_path / "odyssey" / "op_specs.py").write_text(changed, "utf-8")

    (tests / "test_derived.py").write_text(DERIVED)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "inventory or derived or negate"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout
