"""The model of a step's time on several nodes: its limits, its fit, its promise."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "network"))

import fit_model
import step_model
from click.testing import CliRunner
from fit_model import FITTED, WAYS, WIDTHS, Point, fit, read
from step_model import BF16, ONE_BY_ONE, ORDERED, TOGETHER, Line, Link, Parameters

MEASURED = Path(fit_model.__file__).parent / "two_hosts.json"
PARAMETERS = 11_173_962  # of ResNet-18
WAYS_OF = (TOGETHER, ONE_BY_ONE, ORDERED, BF16)
LINK = Link(rate=1e9, delay=1e-3)
KNOWN = Parameters(
    {16: 0.08, 64: 0.6},
    {way: Line(4e-10, 1.5) for way in WAYS_OF},
    gather=3e-4,
    hidden=0.4,
    hidden_synchronised=0.2,
    meanwhile=1e-9,
)


def point_of(gbit, delay_ms):
    """Return what would be measured if the model with `KNOWN` were the truth."""
    link = Link(gbit / 8e-9, delay_ms / 1e3)
    sums = {
        way: step_model.sum_seconds(link, KNOWN.ways[way], step_model.traffic(64, way))
        for way in WAYS_OF
    }
    steps = {(w, kind): fit_model.step(point, KNOWN, w, kind)
             for point in [Point(gbit, delay_ms, link, (), {}, {})]
             for w in WIDTHS for kind in WAYS}  # fmt: skip
    return Point(gbit, delay_ms, link, (delay_ms / 1e3,), sums, steps)


def test_what_a_step_sends():
    sent = step_model.traffic(64, ONE_BY_ONE)
    assert sent.bytes == 4 * PARAMETERS
    assert sent.messages > 5
    assert 0 < sent.last < sent.bytes / 4
    narrow = step_model.traffic(64, BF16)
    assert (narrow.bytes, narrow.messages) == (2 * PARAMETERS, 11)  # of 2**20 numbers
    assert narrow.running == 8 * 9600  # mean and variance of 4800 channels


def test_a_node_alone_sends_nothing_and_many_send_twice_the_gradients():
    sent = step_model.traffic(64, ONE_BY_ONE)
    alone = step_model.step_seconds(LINK, KNOWN, 0.5, ONE_BY_ONE, sent, ranks=1)
    assert alone == 0.5
    free = Line(0.0, 0.0)
    times = [step_model.sum_seconds(LINK, free, sent, ranks) for ranks in (2, 4, 4096)]
    assert times == pytest.approx([sent.bytes / 1e9 * f for f in (1, 1.5, 2)], rel=1e-3)


def test_hidden_is_at_most_what_the_backward_takes_and_what_is_sent_in_it():
    sent = step_model.traffic(64, TOGETHER)
    for rate, hidden in (
        (1e8, 0.4 * 0.5),  # 0.4 s of sums: as long as sums advance
        (1e12, (sent.bytes - sent.last) / 1e12),  # all but the last bucket
    ):
        link = Link(rate, 0.0)
        plain = KNOWN._replace(hidden=0.0)
        found, shown = (
            step_model.step_seconds(link, of, 0.5, TOGETHER, sent)
            for of in (KNOWN, plain)
        )
        assert shown - found == pytest.approx(hidden)


def test_the_fit_finds_the_parameters_that_times_were_made_from():
    found = fit([point_of(*network) for network in sorted(FITTED)])
    assert found.compute == pytest.approx(KNOWN.compute, rel=1e-3)
    for way in WAYS_OF:
        assert found.ways[way] == pytest.approx(KNOWN.ways[way], rel=1e-6)
    assert found.gather == pytest.approx(KNOWN.gather, rel=0.02)
    assert found.hidden == pytest.approx(KNOWN.hidden)
    assert found.hidden_synchronised == pytest.approx(KNOWN.hidden_synchronised)
    assert found.meanwhile == pytest.approx(KNOWN.meanwhile, rel=0.01)


def test_steps_on_networks_that_it_was_not_fitted_on_are_predicted_within_15_percent():
    points = read(MEASURED)
    others = [point for point in points if not point.fitted]
    found = fit([point for point in points if point.fitted])
    errors = [
        said / seconds - 1
        for _, name, seconds, said in fit_model.compared(others, found)
        if name.startswith("step")
    ]
    assert len(errors) >= 56
    assert max(map(abs, errors)) < 0.15
    done = CliRunner().invoke(fit_model.main, [str(MEASURED)])
    assert done.exit_code == 0, done.output
    last = done.output.splitlines()[-1]
    assert f"predicted: {len(errors)}," in last
    assert f"within 15%: {len(errors)}" in last
