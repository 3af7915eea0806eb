"""Fit the model of a step's time on some of the networks, predict the others.

    python benchmarks/network/fit_model.py benchmarks/network/two_hosts.json

Fitted on the networks of `FITTED`; each line is a measurement, with what the model says
and by how much it is wrong.  No line of the others has been looked at for the fit.
"""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from step_model import (
    BF16,
    NORM_GATHERS,
    ONE_BY_ONE,
    ORDERED,
    TOGETHER,
    Line,
    Link,
    Parameters,
    gather_seconds,
    step_seconds,
    sum_seconds,
    traffic,
)

#: Rates in Gbit/s and delays in ms of the networks that the model is fitted on: the
#: middles of the sides.  So it must predict the corners, where both are extreme.
FITTED = {(1, 1), (10, 0.1), (10, 5), (25, 1)}
SYNCHRONISED = "synchronised"
APART = ("not overlapped", "bf16")
WAYS = {
    "": TOGETHER,
    "not overlapped": ONE_BY_ONE,
    "bf16": BF16,
    SYNCHRONISED: TOGETHER,
}
WIDTHS = (16, 64)
#: Tried for the share of compute in which sums advance.
SHARES = np.linspace(0, 1, 101)
MOST = 0.15


class Point(NamedTuple):
    """What was measured with one network."""

    gbit: float
    delay_ms: float
    link: Link
    gathers: tuple[float, ...]  # seconds
    sums: dict[str, float]  # seconds, by the way
    steps: dict[tuple[int, str], float]  # seconds, by width and kind

    @property
    def fitted(self) -> bool:
        return (self.gbit, self.delay_ms) in FITTED


def read(path: Path, shaped: bool = True) -> list[Point]:
    """Return the points of a file of measure_network.py, by rate and delay.

    ``shaped`` says whether those with a rate and a delay, or those without.
    """
    return sorted(
        _point(point["gbit"], 1e3 * point["delay"], point["measured"])
        for point in json.loads(path.read_text())["points"]
        if bool(point["gbit"]) == shaped
    )


def _point(gbit: float, delay_ms: float, found: dict) -> Point:
    stream, sums = found["stream"], found["sums"]
    link = Link(stream["gbit_both_ways"] / 8e-9, stream["round_trip"] / 2)
    gathers = tuple(s for name, s in sums.items() if name.startswith("gather"))
    steps = {}
    for name, runs in found.items():
        if name.startswith("width"):
            width, _, kind = name.removeprefix("width ").partition(", ")
            steps[int(width), kind] = statistics.median(runs["seconds"])
    sums = {way: sums[way] for way in (ONE_BY_ONE, TOGETHER, ORDERED, BF16)}
    return Point(gbit, delay_ms, link, gathers, sums, steps)


def without_delay_line(found: Parameters, free: Point) -> Parameters:
    """Return the parameters of nodes that only send and receive.

    The processor's time for a byte is that of ``free``, a cable without rate and delay:
    the work of TCP and of the sums, but not that of the delay lines, which interrupt
    the ranks here.
    """
    ways = {
        way: line._replace(fixed=free.sums[way] / traffic(WIDTHS[-1], way).bytes)
        for way, line in found.ways.items()
    }
    return found._replace(ways=ways, meanwhile=ways[TOGETHER].fixed)


def line_of(fixed, delays, rest, seconds) -> Line:
    """Return the line through ``rest``: least squares, relative to ``seconds``."""
    weights = 1 / np.array(seconds)
    columns = np.stack([fixed, delays], 1) * weights[:, None]
    (a, b), *_ = np.linalg.lstsq(columns, rest * weights, rcond=None)
    return Line(float(a), float(b))


def fit(points: list[Point]) -> Parameters:
    """Return the parameters that these points ask for."""
    ways = {}
    for way in (TOGETHER, ONE_BY_ONE, ORDERED, BF16):
        sent = traffic(WIDTHS[-1], way)
        measured = np.array([p.sums[way] for p in points])
        rest = measured - [sent.bytes / p.link.rate for p in points]
        delays = [sent.messages * p.link.delay for p in points]
        ways[way] = line_of([sent.bytes] * len(points), delays, rest, measured)
    found = Parameters(dict.fromkeys(WIDTHS, 0.0), ways, 0.0)
    for _ in range(5):  # each of them a little depends on the others
        for width in WIDTHS:  # of the steps whose sums hide nothing
            found.compute[width] += _mean_rest(points, found, width, APART)
        found = min(
            (_with_hidden(points, found, h) for h in SHARES),
            key=lambda tried: _squared_errors(points, tried, ""),
        )
        found = min(
            (found._replace(hidden_synchronised=float(h)) for h in SHARES),
            key=lambda tried: _squared_errors(points, tried, SYNCHRONISED),
        )
        # of the narrow network, whose sums take little
        gather = _mean_rest(points, found, WIDTHS[0], (SYNCHRONISED,)) / NORM_GATHERS
        found = found._replace(gather=found.gather + gather)
    return found


def _mean_rest(points, found, width, kinds) -> float:
    """Return the mean of the seconds of steps that the model does not explain."""
    return statistics.mean(
        p.steps[width, kind] - step(p, found, width, kind)
        for p in points
        for kind in kinds
    )


def _with_hidden(points, found: Parameters, hidden: float) -> Parameters:
    """Return the parameters for a share of compute in which sums advance."""
    tried = found._replace(hidden=float(hidden))
    wide = WIDTHS[-1]
    rest = _mean_rest(points, tried, wide, ("",)) / traffic(wide, TOGETHER).bytes
    return tried._replace(meanwhile=tried.meanwhile + rest)


def _squared_errors(points, found: Parameters, kind: str) -> float:
    """Return the sum of squared relative errors of steps of a kind."""
    errors = [
        step(p, found, width, kind) / p.steps[width, kind] - 1
        for p in points
        for width in WIDTHS
    ]
    return sum(error**2 for error in errors)


def step(point: Point, found: Parameters, width: int, kind: str) -> float:
    """Return the seconds of a measured step by the model."""
    way, compute = WAYS[kind], found.compute[width]
    synchronised = kind == SYNCHRONISED
    sent = traffic(width, way)
    return step_seconds(
        point.link, found, compute, way, sent, synchronised=synchronised
    )


def compared(
    points: list[Point], found: Parameters
) -> Iterator[tuple[Point, str, float, float]]:
    """Yield each measurement as point, name, measured and predicted seconds."""
    for point in points:
        yield (
            point,
            "gather alone",
            statistics.mean(point.gathers),
            gather_seconds(point.link, 0.0),
        )
        for way, seconds in point.sums.items():
            said = sum_seconds(point.link, found.ways[way], traffic(64, way))
            yield point, f"sums, {way}", seconds, said
        for (width, kind), seconds in sorted(point.steps.items(), reverse=True):
            name = f"step, width {width}{', ' if kind else ''}{kind}"
            yield point, name, seconds, step(point, found, width, kind)


def parameters_text(found: Parameters) -> str:
    """Return the parameters as lines."""
    lines = [
        f"compute, width {width}: {1e3 * seconds:.1f} ms"
        for width, seconds in found.compute.items()
    ]
    for way, line in found.ways.items():
        lines.append(
            f"{way}: {1e-9 / line.fixed:.2f} GB/s by the processor, "
            f"{line.delays:.2f} delays a message"
        )
    lines.append(f"gather: {1e6 * found.gather:.0f} us, and a delay")
    lines.append(
        f"within the backward: sums advance in {found.hidden:.2f} of compute "
        f"({found.hidden_synchronised:.2f} where synchronised), and the processor "
        f"moves {1e-9 / found.meanwhile:.2f} GB/s"
    )
    return "\n".join(lines)


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(path: Path) -> None:
    """Print the model's parameters, and its error at each measurement."""
    points = read(path)
    found = fit([point for point in points if point.fitted])
    click.echo(f"{parameters_text(found)}\n")
    click.echo(
        f"{'Gbit/s':>6} {'ms':>4} {'':34}{'measured':>9}{'model':>9}{'error':>8}"
    )
    errors = {True: [], False: []}
    for point, name, seconds, said in compared(points, found):
        error = said / seconds - 1
        if name.startswith("step"):
            errors[point.fitted].append(abs(error))
        line = f"{point.gbit:6g} {point.delay_ms:4g} {name:34}{1e3 * seconds:9.2f}"
        line += f"{1e3 * said:9.2f}{error:+8.1%}{' fitted' if point.fitted else ''}"
        click.echo(line)
    for fitted, name in ((True, "fitted on"), (False, "predicted")):
        of = errors[fitted]
        click.echo(
            f"steps, {name}: {len(of)}, off by {statistics.median(of):.1%} (median), "
            f"at most {max(of):.1%}; within {MOST:.0%}: {sum(e <= MOST for e in of)}"
        )


if __name__ == "__main__":
    main()
