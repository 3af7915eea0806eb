import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from odyssey.report.charts import MOST_POINTS, Axis, Series, line_chart, thinned, ticks


def drawn(*series, **options):
    figure = ElementTree.fromstring(line_chart("Loss <&>", series, "epoch", **options))
    return figure.find("figcaption"), figure.find("svg"), figure.find("ul")


@pytest.mark.parametrize("whole", [False, True])
def test_ticks_are_round_and_as_many_as_fit(whole):
    rng = np.random.default_rng(0)
    for _ in range(500):
        low = rng.normal() * 10.0 ** rng.integers(-3, 4)
        high = low + rng.exponential() * 10.0 ** rng.integers(-3, 4)
        if whole:
            low, high = math.floor(low), math.floor(high) + 1
        found = ticks(low, high, whole)
        assert 2 <= len(found) <= 6
        step = (found[-1] - found[0]) / (len(found) - 1)
        slack = 1e-6 * step
        assert low - slack <= found[0] < low + step
        assert high - step < found[-1] <= high + slack
        np.testing.assert_allclose(np.diff(found), step, rtol=1e-5)
        mantissa = step / 10.0 ** np.floor(np.log10(step * (1 + 1e-6)))
        assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-4
        assert not whole or step >= 1


@pytest.mark.parametrize(
    "value, whole",
    [(1e-9, False), *((v, whole) for v in (0.0, 1.0, -3.0, 1e9) for whole in (0, 1))],
)
def test_a_level_line_is_in_the_middle(value, whole):
    axis = Axis([value, value], 200, 100, whole)
    assert axis.place(value) == 150
    assert len(set(axis.ticks)) == len(axis.ticks) >= (1 if whole else 2)
    assert all(100 <= axis.place(tick) <= 200 for tick in axis.ticks)


def test_axes_put_values_in_proportion_and_end_where_they_end():
    axis = Axis([1.0, 8.0], 10, 150, whole=True)
    assert [axis.place(v) for v in (1, 4.5, 8)] == [10, 80, 150]
    assert axis.ticks == [2, 4, 6, 8]
    assert Axis([1, 3128], 0, 100, whole=True).ticks[-1] == 3000


def test_room_is_left_around_values_but_not_beyond_zero():
    axis = Axis([10.0, 20.0], 0, 120, room=0.1)
    assert [axis.place(v) for v in (9, 10, 20, 21)] == [0, 10, 110, 120]
    axis = Axis([0.5, 20.0], 0, 100, room=0.1)
    assert axis.place(0) == 0 and axis.place(20) < 100
    axis = Axis([-5.0, 5.0], 0, 110, room=0.1)
    assert [axis.place(v) for v in (-5, 5, 6)] == [0, 100, 110]


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


def test_a_curve_reaches_from_end_to_end():
    for points in ([(1, 1.0), (8, 2.0)], [(1, 1.0), (3128, 0.5)], [(7, 3.0), (9, 1.0)]):
        _, svg, _ = drawn(Series("a", points))
        place = svg.find("path[@class='s0']").get("d")
        left, right = svg.find("path[@class='axis']").get("d")[1:].split("H")
        assert float(place[1:].split()[0]) == float(left.split()[0])
        assert float(place.split("L")[1].split()[0]) == float(right)


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
    ground = svg.find("path[@class='axis']").get("d").split("H")[0].split()[-1]
    (zero, *_) = svg.findall("path[@class='grid']")
    assert zero.get("d").split("H")[0].split()[-1] == f"{ground}.0"
    assert svg.findall("circle") == []


def test_long_curves_are_thinned_but_not_cut():
    points = [(n, n * n) for n in range(100_000)]
    kept = thinned(points)
    assert len(kept) == MOST_POINTS
    assert kept[0] == points[0] and kept[-1] == points[-1]
    gaps = np.diff([x for x, _ in kept])
    assert gaps.max() - gaps.min() <= 1
    assert thinned(points[:7]) == points[:7]
