"""What docs/derivations prints is what its code gives, and what the kernels do."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view

from odyssey import reference
from odyssey.kernels import simd
from odyssey.kernels import winograd_strided_transforms as strided
from odyssey.kernels import winograd_transforms as kernels
from odyssey.muon import orthogonalize

DOCUMENTS = Path(__file__).resolve().parent.parent / "docs" / "derivations"
WINOGRAD = (DOCUMENTS / "winograd.md").read_text("utf-8")


def code(text):
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S))


def text_block(title):
    """The rows of the block whose first line has ``title``, cut at its bars."""
    block = re.search(rf"^```text\n([^\n]*{title}.*?)^```", WINOGRAD, re.M | re.S)
    return [line.split("|") for line in block[1].splitlines()[1:]]


def printed_matrices():
    columns = zip(*text_block("24 G"), strict=True)
    BT, G, AT = (
        np.array([row.split() for row in column if row.strip()], float)
        for column in columns
    )
    return AT.T, G / 24, BT


A, G, BT = printed_matrices()


@pytest.mark.parametrize("name", ["batch_norm", "convolution"])
def test_the_code_of_the_document_runs(name, capsys):
    exec(code((DOCUMENTS / f"{name}.md").read_text("utf-8")), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        *("mixed_precision", "muon", "residual_block"),
        *("synchronized_batch_norm", "updates"),
    ],
)
def test_what_a_document_says_is_printed_is_what_its_code_prints(name, capsys):
    text = code((DOCUMENTS / f"{name}.md").read_text("utf-8"))
    exec(text, {})
    printed = capsys.readouterr().out.splitlines()
    assert printed == re.findall(r"^(?:print.*|)# (.*)$", text, re.M)


def test_the_iteration_of_the_document_is_odysseys():
    exec(
        code((DOCUMENTS / "muon.md").read_text("utf-8")),
        names := {"print": lambda *_: None},
    )
    for steps in (1, 5):
        want = names["newton_schulz"](names["G"], steps)
        np.testing.assert_allclose(orthogonalize(names["G"], steps), want, rtol=1e-12)


@pytest.fixture(scope="module")
def winograd_document():
    """The names that the code of winograd.md defines, and the lines that it prints."""
    lines = []
    names = {"print": lambda *values, **_: lines.append(values)}
    exec(code(WINOGRAD), names)
    return names, lines


def test_interpolation_gives_the_printed_matrices(winograd_document):
    names, _ = winograd_document
    got = names["matrices"]([0, 1, -1, 2, -2], 4, 3)
    for matrix, printed in zip(got, (A, G, BT), strict=True):
        np.testing.assert_allclose(matrix, printed, rtol=1e-15)


def test_f_2_3_is_what_was_found_by_hand(winograd_document):
    A, G, BT = winograd_document[0]["matrices"]([0, 1, -1], 2, 3)
    assert BT.tolist() == [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    assert (2 * G).tolist() == [[-2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]
    y = A.T @ ((G @ [2, -1, 1]) * (BT @ [1, 3, 2, 5]))
    assert y.tolist() == [1, 9]


def test_the_identity_holds_exactly():
    # 24 G, A and B are integers, so nothing is rounded
    meetings = np.einsum("ip,ir,ih->prh", A, np.rint(24 * G), BT)
    for p, r, h in np.ndindex(meetings.shape):
        assert meetings[p, r, h] == 24 * (h == p + r)


def transformed(function, rows):
    """What a transform of one dimension makes of vectors, as compiled."""
    source = "def run(d, y):\n    W = width(y)\n"
    d = ", ".join(f"load(d, {i} * W)" for i in range(len(rows)))
    source += f"    v = f({d})\n"
    count = len(function.py_func(*rows))
    source += "".join(f"    store(y, {i} * W, v[{i}])\n" for i in range(count))
    names = {"f": function, "load": simd.load, "store": simd.store}
    exec(source, names | {"width": simd.width}, scope := {})
    lanes = simd.width(rows)
    y = np.zeros((count, lanes), rows.dtype)
    njit(error_model="numpy")(scope["run"])(rows, y)
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("transform", "matrix"),
    [
        (kernels.input_1d, BT),
        (kernels.output_1d, A.T),
        (kernels.gradient_1d, A),
        (kernels.kernel_1d, G),
        (kernels.total_1d, G.T),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_transforms_multiply_by_these_matrices(transform, matrix, dtype):
    check_transform(transform, matrix, dtype)


def check_transform(transform, matrix, dtype):
    lanes = simd.width(np.empty(0, dtype))
    shape = matrix.shape[1], lanes
    rows = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    want = matrix @ rows
    # a sum of six terms, rounded a few times each
    bound = 10 * np.finfo(dtype).eps
    bound *= abs(matrix).sum(1).max() * abs(rows).max()
    assert abs(transformed(transform, rows) - want).max() <= bound
    assert abs(np.array(transform.py_func(*rows)) - want).max() <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("transform", "matrix"),
    [
        (strided.gradient_1d, "A2"),
        (strided.kernel_1d, "G2[:6]"),
        (strided.total_1d, "G2[:6].T"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_transforms_of_stride_2(winograd_document, transform, matrix, dtype):
    check_transform(transform, eval(matrix, winograd_document[0]), dtype)


@pytest.mark.parametrize("turned", [False, True])
def test_even_and_odd_numbers_of_stride_2(winograd_document, turned):
    BT2, AT2 = (
        winograd_document[0][name + "_grad"]
        if turned
        else eval(transposed, winograd_document[0])
        for name, transposed in (("BT2", "BT2"), ("AT2", "A2.T"))
    )
    d = np.random.default_rng(3).standard_normal((BT2.shape[1], 8))
    even, odd = (d, d[:4]) if turned else (d[::2], d[1::2])
    places = np.array(strided.patch_1d.py_func(even, odd))
    np.testing.assert_allclose(places, BT2 @ d, rtol=0, atol=1e-14)
    y, odd_y = np.array(strided.even_1d.py_func(*places[:5])), places[5:]
    got = np.stack([odd_y, y], 1).reshape(8, 8) if turned else y + odd_y
    np.testing.assert_allclose(got, AT2 @ places, rtol=0, atol=1e-13)


def test_places_with_the_same_row_of_G_share_a_product(winograd_document):
    G2 = winograd_document[0]["G2"]
    different, counts = np.unique(G2, axis=0, return_counts=True)
    assert len(different) == 6
    assert np.array_equal(
        np.sort(np.outer(counts, counts), None), np.sort(strided.ROWS)
    )
    assert strided.BEFORE[-1] + strided.ROWS[-1] == 81
    begins = np.empty((2, 81), np.int64)
    for tile in range(2):
        strided.find_rows(2, tile, 40, begins[tile])
    begins = np.sort(begins, None)
    # each row has its 40 numbers, and a gap stands between the products
    assert set(np.diff(begins)) == {40, 40 + strided.GAP}


def test_the_table_of_points_for_stride_2(winograd_document):
    names, _ = winograd_document
    rows = re.findall(r"^    ((?:\S+, ){3}\S+)  +(\d\.\d\d)$", WINOGRAD, re.M)
    assert len(rows) == 3
    for points, factor in rows:
        points = [float(Fraction(point)) for point in points.split(", ")]
        A, G, BT = (M**2 for M in names["matrices"](points, 4, 2))
        # at the odd places there are four ones
        got = (np.einsum("ip,ir,ih->", A, G, BT) + 4) / 12
        assert got == pytest.approx(float(factor), abs=0.006)


def test_the_formulas_of_one_tile(winograd_document):
    _, lines = winograd_document
    errors = [values[0] for values in lines if isinstance(values[0], np.float64)]
    assert len(errors) == 5
    assert max(errors) < 1e-13


def cut(x, before, rows, columns, size):
    """Cut 4x4 tiles (size 4) or their patches (6) out of x, zeros beyond its edges."""
    N, C, H, W = x.shape
    padded = np.zeros((N, C, 4 * rows + size - 4, 4 * columns + size - 4))
    padded[:, :, before : before + H, before : before + W] = x
    return sliding_window_view(padded, (size, size), (2, 3))[:, :, ::4, ::4]


def forward(x, kernel, padding):
    P, Q = x.shape[2] + 2 * padding - 2, x.shape[3] + 2 * padding - 2
    rows, columns = -(-P // 4), -(-Q // 4)
    D, U = BT @ cut(x, padding, rows, columns, 6) @ BT.T, G @ kernel @ G.T
    tiles = A.T @ np.einsum("nctuij,kcij->nktuij", D, U) @ A
    out = tiles.swapaxes(3, 4).reshape(len(x), len(kernel), 4 * rows, 4 * columns)
    return out[:, :, :P, :Q]


def grad_kernel(grad, x, padding):
    rows, columns = -(-grad.shape[2] // 4), -(-grad.shape[3] // 4)
    D = BT @ cut(x, padding, rows, columns, 6) @ BT.T
    E = A @ cut(grad, 0, rows, columns, 4) @ A.T
    return G.T @ np.einsum("nctuij,nktuij->kcij", D, E) @ G


@pytest.mark.parametrize("H, W, padding", [(8, 4, 1), (9, 7, 1), (5, 6, 0), (1, 2, 2)])
def test_the_formulas_of_whole_batches(H, W, padding):
    rng = np.random.default_rng(2)
    x, kernel = rng.standard_normal((2, 3, H, W)), rng.standard_normal((5, 3, 3, 3))
    out = reference.conv2d(x, kernel, None, 1, padding)
    grad = rng.standard_normal(out.shape)
    right = reference.conv2d_backward(grad, x, kernel, 1, padding)
    turned = kernel[:, :, ::-1, ::-1].swapaxes(0, 1)
    for got, want in [
        (forward(x, kernel, padding), out),
        (forward(grad, turned, 2 - padding), right[0]),
        (grad_kernel(grad, x, padding), right[1]),
    ]:
        assert got.shape == want.shape
        assert abs(got - want).max() < 1e-12


def test_the_table_of_factors(winograd_document):
    names, _ = winograd_document
    rows = re.findall(r"^    (\d)x\1 +1/(\S+) +(.*?)  +(\S+)$", WINOGRAD, re.M)
    assert len(rows) == 5
    for m, fewer, more, factor in rows:
        more = [] if more == "none" else [float(Fraction(p)) for p in more.split(", ")]
        m = int(m)
        assert m == len(more) + 2
        squares = [M**2 for M in names["matrices"]([0, 1, -1, *more], m, 3)]
        got = np.einsum("ip,ir,ih->", *squares) / (3 * m)
        assert got == pytest.approx(float(factor), rel=0.02)  # two digits are printed
        assert 9 * m**2 / (m + 2) ** 2 == pytest.approx(float(fewer), rel=0.001)


def test_the_measured_errors(winograd_document):
    _, lines = winograd_document
    measured = [values[0].split("|") for values in lines if isinstance(values[0], str)]
    printed = text_block("side stride")
    assert len(measured) == len(printed) == 7
    for got, want in zip(measured, printed, strict=True):
        assert got[0].split() == want[0].split()
        for errors, expected in zip(got[1:], want[1:], strict=True):
            ratio = np.array(errors.split(), float) / np.array(expected.split(), float)
            # BLAS of another machine sums in another order
            assert np.all((ratio > 0.5) & (ratio < 2))
