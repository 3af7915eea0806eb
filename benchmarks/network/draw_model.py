"""Draw what the model of a step's time gives for 1 to 64 nodes, and print it.

    python benchmarks/network/draw_model.py benchmarks/network/two_hosts.json \\
        --png docs/scaling.png

The first panel is measured: steps of 2 ranks (points), with the model's lines.  The
others are predicted: the efficiency of p nodes, each with ``--batch`` images a step,
which is the images/s of all nodes over p times those of one.
"""

from pathlib import Path

import click
from fit_model import fit, read
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


def draw(points, found, seconds) -> bytes:
    """Return the figure as PNG."""
    figure = new_figure(13)
    panels = figure.subplot_mosaic(
        [["measured", *list(KINDS)[:2]], ["measured", *list(KINDS)[2:]]],
        width_ratios=[1.25, 1, 1],
    )
    axes = panels["measured"]
    axes.set_title("measured (points): 2 ranks, ResNet-18", fontsize=10)
    delays = [10 ** (exponent / 20) for exponent in range(-22, 16)]  # ms
    for number, gbit in enumerate(sorted({point.gbit for point in points})):
        of = [point for point in points if point.gbit == gbit]
        for kind, mark, style in (("", "o", "-"), ("bf16", "s", "--")):
            way = BF16 if kind else TOGETHER
            axes.plot(
                [point.delay_ms for point in of],
                [point.steps[64, kind] for point in of],
                mark,
                color=f"C{number}",
                label=f"{gbit:g} Gbit/s{', bf16' if kind else ''}",
            )
            axes.plot(
                delays,
                [
                    step_seconds(
                        Link(of[0].link.rate, ms / 1e3),
                        found,
                        found.compute[64],
                        way,
                        traffic(64, way),
                    )
                    for ms in delays
                ],
                style,
                color=f"C{number}",
                linewidth=1,
            )
    axes.set(xscale="log", xlabel="delay, ms", ylabel="s a step", ylim=(0, None))
    axes.legend(fontsize=8)
    for kind in KINDS:
        axes = panels[kind]
        axes.set_title(f"predicted: {kind}", fontsize=10)
        for gbit in GBIT:
            found_ = [
                seconds[kind, gbit, 1] / seconds[kind, gbit, nodes] for nodes in NODES
            ]
            axes.plot(NODES, found_, ".-", label=f"{gbit} Gbit/s")
        axes.set(xscale="log", ylim=(0, 1.05), xticks=NODES, xticklabels=NODES)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels["synchronised, float32"].set_xlabel("nodes")
    panels["synchronised, bf16"].set_xlabel("nodes")
    panels["local statistics, float32"].set_ylabel("efficiency")
    panels["synchronised, float32"].set_ylabel("efficiency")
    panels["local statistics, float32"].legend(fontsize=8)
    return png_bytes(figure)


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
    seconds = steps(found, compute, delay)
    click.echo(table(seconds, batch))
    if png:
        atomic_write_bytes(png, draw(points, found, seconds))


if __name__ == "__main__":
    main()
