import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from odyssey.report.charts import MOST_POINTS, Axis, Series, line_chart, thinned, ticks


def drawn(*series, **options):
    figure = ElementTree.fromstring(line_chart("Loss <&>", series, "epoch", **options))
    return figure.find("figcaption"), figure.find("svg"), figure.find("ul")


@pytest.mark.parametrize("whole", [False, True])
def test_ticks_are_round_and_reach_from_end_to_end(whole):
    rng = np.random.default_rng(0)
    for _ in range(500):
        low = rng.normal() * 10.0 ** rng.integers(-3, 4)
        high = low + rng.exponential() * 10.0 ** rng.integers(-3, 4)
        found = ticks(low, high, whole)
        assert 2 <= len(found) <= 6
        step = (found[-1] - found[0]) / (len(found) - 1)
        slack = 1e-6 * step
        assert found[0] <= low + slack and high <= found[-1] + slack
        assert found[0] > low - step and found[-1] < high + step
        np.testing.assert_allclose(np.diff(found), step, rtol=1e-5)
        mantissa = step / 10.0 ** np.floor(np.log10(step * (1 + 1e-9)))
        assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-4
        assert not whole or step >= 1


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-9, 1e9])
def test_ticks_around_a_level_line(value):
    found = ticks(value, value)
    assert found[0] < value < found[-1] or 0 in (value - found[0], found[-1] - value)
    assert len(set(found)) == len(found) >= 2


def test_axes_put_values_in_proportion():
    axis = Axis([0.0, 10.0], 200, 100)
    assert [axis.place(v) for v in (0, 5, 10)] == [200, 150, 100]


def test_points_lie_where_their_titles_say():
    points = [(1, 2.0), (2, 1.5), (4, 0.5)]
    caption, svg, legend = drawn(Series("a", points), Series("b<i>", [(1, 0.25)]))
    assert caption.text == "Loss <&>"
    circles = svg.findall("circle")
    assert [c.find("title").text for c in circles] == [
        "a, epoch 1: 2",
        "a, epoch 2: 1.5",
        "a, epoch 4: 0.5",
        "b<i>, epoch 1: 0.25",
    ]
    x = [float(c.get("cx")) for c in circles]
    y = [float(c.get("cy")) for c in circles]
    assert x[1] - x[0] == pytest.approx((x[2] - x[0]) / 3, abs=0.2)
    assert (y[1] - y[0]) / (y[2] - y[0]) == pytest.approx(1 / 3, abs=0.01)
    assert y[0] < y[1] < y[2] < y[3] and x[3] == x[0]
    path = svg.find("path[@class='s0']").get("d")
    assert path == "M" + "L".join(f"{a} {b}" for a, b in zip(x[:3], y[:3], strict=True))
    assert ["".join(li.itertext()) for li in legend] == ["a 0.5", "b<i> 0.25"]
    assert svg.get("aria-label") == "Loss <&>, at the end: a 0.5, b<i> 0.25"


def test_all_lies_within_the_drawing():
    points = [(n, (-1) ** n * n) for n in range(1, 300)]
    _, svg, _ = drawn(Series("a", points))
    _, _, width, height = map(float, svg.get("viewBox").split())
    for text in svg.findall("text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 < float(text.get("y")) <= height
    for x, y in re.findall(
        r"([\d.]+) ([\d.]+)", svg.find("path[@class='s0']").get("d")
    ):
        assert 0 <= float(x) <= width and 0 <= float(y) <= height


def test_a_scale_from_zero():
    _, svg, _ = drawn(Series("lr", [(1, 0.1), (2, 0.09)]), from_zero=True, mark=False)
    labels = [t.text for t in svg.findall("text[@class='y']")]
    assert labels[0] == "0" and labels[-1] == "0.1"
    assert svg.findall("circle") == []


def test_long_curves_are_thinned_but_not_cut():
    points = [(n, n * n) for n in range(100_000)]
    kept = thinned(points)
    assert len(kept) == MOST_POINTS
    assert kept[0] == points[0] and kept[-1] == points[-1]
    gaps = np.diff([x for x, _ in kept])
    assert gaps.max() - gaps.min() <= 1
    assert thinned(points[:7]) == points[:7]
