"""Draw what the model of a step's time gives for 1 to 64 nodes, and print it.

    python benchmarks/network/draw_model.py benchmarks/network/two_hosts.json \\
        --png docs/scaling.png

The first panel has all measured steps of 2 ranks, and what the model says of each;
empty circles are of the networks that it was fitted on.  The others are predicted: the
efficiency of p nodes, each with ``--batch`` images a step, which is the images/s of all
nodes over p times those of one.  The lines and the table are for nodes that only send
and receive; the shaded parts reach down to nodes whose processor also has to do what
the delay lines do here.
"""

from pathlib import Path

import click
import numpy as np
from fit_model import WAYS, fit, read, step, without_delay_line
from step_model import BF16, TOGETHER, Link, step_seconds, traffic

from odyssey.report.figures import new_figure, png_bytes
from odyssey.weights.files import atomic_write_bytes

NODES = (1, 2, 4, 8, 16, 32, 64)
GBIT = (1, 10, 25, 100)
#: Of a link, what a TCP stream gets as payload: 1448 of 1538 bytes on the wire.
PAYLOAD = 1448 / 1538
#: Seconds in one direction between nodes of one room.
DELAY = 5e-5
KINDS = {
    "local statistics, float32": (TOGETHER, False),
    "local statistics, bf16": (BF16, False),
    "synchronised, float32": (TOGETHER, True),
    "synchronised, bf16": (BF16, True),
}


def steps(found, compute: float, delay: float) -> dict[tuple[str, int, int], float]:
    """Return seconds a step by kind, Gbit/s and nodes."""
    return {
        (kind, gbit, nodes): step_seconds(
            Link(gbit * PAYLOAD / 8e-9, delay),
            found,
            compute,
            way,
            traffic(64, way),
            synchronised=synchronised,
            ranks=nodes,
        )
        for kind, (way, synchronised) in KINDS.items()
        for gbit in GBIT
        for nodes in NODES
    }


def table(seconds, batch: int) -> str:
    """Return images/s and efficiency as a table in Markdown."""
    head = "".join(f" {nodes} |" for nodes in NODES)
    lines = [f"| | Gbit/s |{head}", f"|---|---:|{'---:|' * len(NODES)}"]
    for kind in KINDS:
        for gbit in GBIT:
            cells = []
            for nodes in NODES:
                rate = nodes * batch / seconds[kind, gbit, nodes]
                efficiency = seconds[kind, gbit, 1] / seconds[kind, gbit, nodes]
                cells.append(f"{rate:.0f} ({efficiency:.0%})".replace("%)", " %)"))
            lines.append(f"| {kind} | {gbit} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(points, found, seconds, slower) -> bytes:
    """Return the figure as PNG."""
    figure = new_figure(13)
    kinds = list(KINDS)
    panels = figure.subplot_mosaic(
        [["measured", *kinds[:2]], ["measured", *kinds[2:]]],
        width_ratios=[1.25, 1, 1],
    )
    _draw_measured(panels["measured"], points, found)
    for kind, axes in ((kind, panels[kind]) for kind in kinds):
        axes.set_title(f"predicted: {kind}", fontsize=10)
        for number, gbit in enumerate(GBIT):
            shown, lower = (
                [of[kind, gbit, 1] / of[kind, gbit, nodes] for nodes in NODES]
                for of in (seconds, slower)
            )
            colour = f"C{number}"
            axes.plot(NODES, shown, ".-", color=colour, label=f"{gbit} Gbit/s")
            axes.fill_between(NODES, lower, shown, color=colour, alpha=0.1, lw=0)
        axes.set(xscale="log", ylim=(0, 1.05), xticks=NODES, xticklabels=NODES)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    for kind in kinds[2:]:
        panels[kind].set_xlabel("nodes")
    for kind in kinds[::2]:
        panels[kind].set_ylabel("efficiency")
    panels[kinds[0]].legend(fontsize=8)
    return png_bytes(figure)


def _draw_measured(axes, points, found) -> None:
    """Draw what the model says over what was measured, for all steps of 2 ranks."""
    axes.set_title("2 ranks: the model against measurements", fontsize=10)
    ends = np.array([0.07, 1.4])
    axes.fill_between(ends, 0.85 * ends, 1.15 * ends, color="0.9", label="within 15 %")
    axes.plot(ends, ends, color="0.6", linewidth=1)
    for number, kind in enumerate(WAYS):
        for fitted in (True, False):
            pairs = [
                (seconds, step(point, found, width, name))
                for point in points
                for (width, name), seconds in point.steps.items()
                if name == kind and point.fitted == fitted
            ]
            axes.plot(
                *zip(*pairs, strict=True),
                "o",
                color=f"C{number}",
                markersize=5,
                fillstyle="none" if fitted else "full",
                label=None if fitted else kind or "overlapped",
            )
    axes.plot([], [], "o", color="0.4", fillstyle="none", label="fitted on")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel="measured, s a step", ylabel="model, s a step")
    ticks = [0.1, 0.2, 0.5, 1.0]
    axes.set(xticks=ticks, yticks=ticks, xticklabels=ticks, yticklabels=ticks)
    axes.minorticks_off()
    axes.legend(fontsize=8)


@click.command(context_settings={"show_default": True})
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--compute", default=0.547, help="Seconds a step of a node alone.")
@click.option("--batch", default=128, help="Images a step of a node.")
@click.option("--delay", default=DELAY, help="Seconds in one direction.")
@click.option("--png", type=click.Path(dir_okay=False, path_type=Path))
def main(path: Path, compute: float, batch: int, delay: float, png: Path | None):
    """Print images/s and efficiency for 1 to 64 nodes, and draw them."""
    points = read(path)
    found = fit([point for point in points if point.fitted])
    (free,) = read(path, shaped=False)
    seconds = steps(without_delay_line(found, free), compute, delay)
    click.echo(table(seconds, batch))
    if png:
        slower = steps(found, compute, delay)
        atomic_write_bytes(png, draw(points, found, seconds, slower))


if __name__ == "__main__":
    main()
