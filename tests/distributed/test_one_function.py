"""With synchronised batch norm any number of ranks computes the same function."""

import json
from pathlib import Path

import numpy as np
import pytest
from launchers import LAUNCHERS

from odyssey.weights.files import atomic_write_text

PROGRAM = Path(__file__).with_name("one_function.py")


@pytest.fixture(scope="session")
def results(launcher):
    done = launcher.run(3, PROGRAM)
    assert (done.status, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def test_losses_of_20_steps_are_those_of_one_process(results):
    expected, _ = results["1"]
    assert len(expected) == 20 and len(set(expected)) == 20
    for size in ("2", "3"):
        np.testing.assert_allclose(results[size][0], expected, rtol=1e-5)


def test_evaluations_of_split_batches_are_exact(results):
    assert all(same for _, same in results.values())


def test_sums_in_the_order_of_the_ranks_do_not_depend_on_buckets(results):
    assert results["ordered"][0] == results["ordered again"][0]
    expected = results["1"][0][: len(results["ordered"][0])]
    np.testing.assert_allclose(results["ordered"][0], expected, rtol=1e-5)


def test_gradients_in_bfloat16_give_other_losses_near_by(results):
    found = np.array(results["bf16"][0])
    error = np.abs(found / results["1"][0][: len(found)] - 1)
    assert 1e-7 < error.max() < 1e-3


def test_sums_in_the_order_of_the_ranks_do_not_depend_on_the_library(
    results, launcher, shared_folder
):
    """Whichever launcher comes last finds the losses of the others."""
    paths = {name: shared_folder / f"ordered losses, {name}" for name in LAUNCHERS}
    atomic_write_text(paths[launcher.name], json.dumps(results["ordered"][0]))
    for name, path in paths.items():
        if path.exists():
            assert json.loads(path.read_text()) == results["ordered"][0], name
