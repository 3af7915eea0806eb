"""docs/other_tools.md names what there is; and what of it has no test elsewhere."""

import re
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from odyssey import batch_norm2d, batch_norm2d_backward, clip_grad_norm_inplace
from odyssey.kernels import jit

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "other_tools.md").read_text("utf-8")
HEAD = "| What it does | Version | How it was seen | What answers it here |"

#: The cells of all rows, those of heads left out.
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and line != HEAD and not line.startswith("|---")
]


def test_the_tables_have_four_columns():
    assert PAGE.count(HEAD) == PAGE.count("\n## ") == PAGE.count("|---|---|---|---|")
    for row in ROWS:
        assert len(row) == 4 and all(row)


def test_every_row_names_a_version():
    for _, version, _, _ in ROWS:
        assert re.search(r"[0-9]", version), version


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_what_answers_a_row_is_there(row):
    named = re.findall(r"`([\w/.]+\.(?:py|sh|md))(?:::(\w+))?`", row[2] + row[3])
    answers = [path for path, _ in named if f"`{path}" in row[3]]
    assert answers, "no file answers it"
    for path, test in named:
        if path.startswith("numba/"):
            continue
        text = (ROOT / path).read_text("utf-8")
        assert not test or f"def {test}(" in text


def test_every_finding_has_its_rows():
    scripts = {path.name for path in (ROOT / "findings").glob("*.sh")}
    assert scripts == set(re.findall(r"`findings/(\w+\.sh)`", PAGE))
    table = (ROOT / "findings" / "README.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| \[.*\]\((\w+\.sh)\)", table, re.M)) == sorted(
        scripts
    )


def square_sum_and_double(x, out):
    total = x.dtype.type(0)
    for i in range(len(x)):
        value = x[i]
        total += value * value
        out[i] = value + value
    return total


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_has_the_same_bits_in_place_and_apart(dtype):
    kernel = njit(**jit.OPTIONS)(square_sum_and_double)
    for x in np.random.default_rng(0).standard_normal((10, 1000)).astype(dtype):
        apart = kernel(x, np.empty_like(x))
        assert kernel(x, x) == apart


def test_kernels_tell_nan_and_infinity():
    is_nan = njit(**jit.OPTIONS)(lambda x: np.isnan(x))
    is_inf = njit(**jit.OPTIONS)(lambda x: np.isinf(x))
    for kind in (np.float32, np.float64):
        assert is_nan(kind(np.nan)) and not is_nan(kind(1))
        assert is_inf(kind(np.inf)) and not is_inf(kind(1))


@pytest.mark.parametrize("channels_last", [False, True])
def test_batch_norm_of_a_constant_in_both_layouts(channels_last):
    x = np.full((128, 4, 32, 32), 1e4, np.float32)
    if channels_last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    zero, one = np.zeros(4, np.float32), np.ones(4, np.float32)
    out, mean, var = batch_norm2d(x, one, zero, zero, one, momentum=1.0)
    assert not out.any()
    assert (mean == 1e4).all() and not var.any()
    g = np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    _, grad_gamma, grad_beta = batch_norm2d_backward(g, x, one, zero, zero, one)
    np.testing.assert_array_equal(grad_gamma, 0)
    exact = g.sum(axis=(0, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(grad_beta, exact, rtol=1e-6)


def test_clipping_of_large_finite_gradients():
    gradients = [np.array([3e20, 0], np.float32), np.array([[4e20]], np.float32)]
    assert clip_grad_norm_inplace(gradients, 1.0) == pytest.approx(5e20, rel=1e-7)
    np.testing.assert_allclose(gradients[0], [0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(gradients[1], [[0.8]], rtol=1e-6)
