"""The shape of a step's time, from the stored profile of a run of ResNet-18."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from svg import Figure

from odyssey.report.stored import profile

ROOT = Path(__file__).resolve().parents[2]
#: The run: 128 images a step, SGD with momentum, two threads.
RUN = "examples/resnet18_cifar10/results/resnet18_8epochs"
KINDS = ("convolution", "batch norm, relu", "all other")
STAGES = ("stem", "stage 1", "stage 2", "stage 3", "stage 4", "head, loss")
LEFT, WIDE = 16.0, 368.0


class Piece(NamedTuple):
    """A stretch of a step: what is computed, in which stage, and how long."""

    kind: int  # index of KINDS
    stage: int | None  # index of STAGES; None for the update and what is between
    seconds: float


def kind_of(layer: str) -> int:
    """Return whether a layer is a convolution, a batch norm or relu, or another."""
    name = layer.rpartition("_")[2]
    if name.startswith("conv") or name == "proj":
        return 0
    return 1 if name.startswith("bn") or name == "relu" else 2


def stage_of(layer: str) -> int | None:
    """Return the stage of a layer; relu's backward is measured for all together."""
    if layer[0] == "s" and layer[1].isdigit():
        return int(layer[1])
    if layer in ("conv1", "bn1"):
        return 0
    if layer in ("global_avgpool2d", "linear", "cross_entropy"):
        return len(STAGES) - 1
    return None


def pieces() -> dict[str, list[Piece]]:
    """Return the forward and the backward in the order of time, then the rest."""
    stored = profile(ROOT / RUN)
    found: dict[str, list[Piece]] = defaultdict(list)
    for row in stored["rows"]:
        for phase in ("forward", "backward", "other"):
            if seconds := row.get(phase, 0.0):
                piece = Piece(kind_of(row["name"]), stage_of(row["name"]), seconds)
                found[phase].append(piece)
    found["backward"].reverse()
    timed = sum(piece.seconds for phase in found.values() for piece in phase)
    found["other"].append(Piece(2, None, stored["seconds"] - timed))
    return found


def draw() -> Figure:
    """Draw the step as a band of its pieces, then the times of each stage."""
    found = pieces()
    every = [piece for phase in found.values() for piece in phase]
    whole = sum(piece.seconds for piece in every)
    spent = {phase: sum(p.seconds for p in its) for phase, its in found.items()}
    shares = [sum(p.seconds for p in every if p.kind == k) / whole for k in range(3)]
    ratio = spent["backward"] / spent["forward"]
    kinds = ", ".join(
        f"{k} {100 * s:.0f} %" for k, s in zip(KINDS, shares, strict=True)
    )
    figure = Figure(
        356,
        "The shape of a training step's time",
        f"A band shows the {1000 * whole:.0f} ms of a step of ResNet-18 for 128 "
        f"images from left to right: forward {1000 * spent['forward']:.0f} ms, "
        f"backward {1000 * spent['backward']:.0f} ms, {ratio:.1f} times as much, then "
        "the update. "
        f"By kind: {kinds}. Bars below show forward and backward of each stage.",
    )
    title = f"A step of ResNet-18, 128 images: {1000 * whole:.0f} ms"
    figure.text(LEFT, 22, title, "bold")
    band(figure, found, whole, 56)
    x = LEFT
    for kind, (name, share) in enumerate(zip(KINDS, shares, strict=True)):
        figure.rect(x, 104, 11, 11, f"c{kind}")
        words = f"{name} {100 * share:.0f} %"
        figure.text(x + 16, 114, words, "small")
        x += (120, 146, 0)[kind]
    figure.text(LEFT, 150, "Forward and backward of each stage, in ms", "bold")
    stages(figure, found, 164)
    return figure


def band(figure: Figure, found: dict[str, list[Piece]], whole: float, y: float) -> None:
    """Draw the pieces side by side, and name the phases above them."""
    scale, x = WIDE / whole, LEFT
    for phase, its in found.items():
        start = x
        for piece in its:
            width = piece.seconds * scale
            figure.rect(x, y, width, 32, f"c{piece.kind}")
            x += width
        figure.line([(start, y - 4), (start, y + 36)], "ls thin")
        if phase != "other":
            figure.text((start + x) / 2, y - 8, phase, "mid")
    figure.line([(x, y - 4), (x, y + 36)], "ls thin")


def stages(figure: Figure, found: dict[str, list[Piece]], y: float) -> None:
    """Draw two bars for each stage, made of their kinds."""
    times = {
        (phase, stage): [
            sum(p.seconds for p in found[phase] if (p.stage, p.kind) == (stage, kind))
            for kind in range(3)
        ]
        for phase in ("forward", "backward")
        for stage in range(len(STAGES))
    }
    scale = 246 / max(sum(parts) for parts in times.values())
    for (phase, stage), parts in times.items():
        top = y + 30 * stage + (0 if phase == "forward" else 12)
        if phase == "forward":
            figure.text(LEFT + 66, top + 15, STAGES[stage], "end")
        x = LEFT + 74
        for kind, seconds in enumerate(parts):
            figure.rect(x, top, seconds * scale, 10, f"c{kind}")
            x += seconds * scale
        words = f"{1000 * sum(parts):.0f}{'' if stage else f' {phase}'}"
        figure.text(x + 5, top + 9, words, "small soft")
