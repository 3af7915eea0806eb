"""precision_errors.py: what bfloat16 costs, as docs/derivations says it."""

import json

import numpy as np
import precision_errors
import pytest
from click.testing import CliRunner
from networks import MODELS


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("errors") / "errors.json"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"N": 4, "C": 16, "SIDE": 8}.items():
            patch.setattr(precision_errors, name, value)
        patch.setitem(MODELS, "resnet20", MODELS["resnet20"]._replace(width=4))
        options = ["--model", "resnet20", "--batch", "8", "--threads", "1"]
        done = CliRunner().invoke(
            precision_errors.main, [*options, "--json", str(path)]
        )
    assert done.exit_code == 0, done.output
    assert "resnet20, 8 images: against float64" in done.output
    return json.loads(path.read_text())


def test_an_operation_errs_by_its_last_rounding(report):
    """Sums in float32 add less than a hundredth to it."""
    rows = [row for row in report["operations"] if "float32" in row]
    assert {row["dtype"] for row in rows} == {"float32", "bfloat16"}
    for row in rows:
        assert row["float32"] < 5e-6
        if row["dtype"] == "float32":  # gradients of parameters, statistics
            assert row["bfloat16"] < 5e-6
        else:
            assert row["bfloat16"] == pytest.approx(row["rounded once"], rel=0.01)


def test_rounded_factors_and_sums_cost_ten_times_as_much(report):
    *_, winograd, sums = report["operations"]
    for row in (winograd, sums):
        assert row["bfloat16"] > 5 * row["rounded once"]


def test_the_error_of_a_gradient_is_far_below_its_noise(report):
    errors = report["resnet20"]
    assert errors["float32"]["gradient"] < errors["bf16"]["gradient"]
    assert errors["bf16"]["gradient"] < errors["another batch"]["gradient"] / 2
    assert errors["bf16"]["cosine"] > 0.9 > errors["another batch"]["cosine"]


def test_errors_of_several_batches_are_independent(report):
    """If each were the same, the ratio would be 2, the root of the four batches."""
    assert 0.7 < report["dependence"] < 1.3


def test_the_matrices_are_those_of_winograd():
    """One patch: the products give the sums of the direct convolution."""
    rng = np.random.default_rng(3)
    patch, kernel = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    places = (precision_errors.B.T @ patch @ precision_errors.B) * (
        precision_errors.G @ kernel @ precision_errors.G.T
    )
    direct = [
        [(patch[p : p + 3, q : q + 3] * kernel).sum() for q in range(4)]
        for p in range(4)
    ]
    got = precision_errors.A.T @ places @ precision_errors.A
    np.testing.assert_allclose(got, direct, atol=1e-12)
