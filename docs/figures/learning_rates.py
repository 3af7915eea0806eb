"""Learning-rate schedules, each from the first step of a run to the last."""

from collections.abc import Callable

from svg import Figure

from odyssey import schedules
from odyssey.report.charts import Axis

#: Steps of the run, and the highest rate.
T, LR = 420, 0.1
WARMUP = T // 7

#: Middle of the two columns.
MIDDLE = 212

#: Each schedule with the call that gives its rate after ``step`` updates.
CURVES: dict[str, Callable[[int], float]] = {
    "step_decay": lambda step: schedules.step_decay(step, LR, T // 4, 0.5),
    "multistep_decay": lambda step: schedules.multistep_decay(
        step, LR, (T // 2, 3 * T // 4), 0.1
    ),
    "cosine_decay": lambda step: schedules.cosine_decay(step, LR, T),
    "warmup, then cosine": lambda step: (
        schedules.linear_warmup(step, WARMUP)
        * schedules.cosine_decay(max(0, step - WARMUP), LR, T - WARMUP)
    ),
    "cosine_restarts": lambda step: schedules.cosine_restarts(step, LR, T // 7, 2),
    "one_cycle": lambda step: schedules.one_cycle(step, LR, T),
}


def draw() -> Figure:
    """Draw six curves in two columns."""
    figure = Figure(
        474,
        "Learning-rate schedules",
        f"Six curves over a run of {T} steps, each with a highest rate of {LR}. "
        "step_decay halves the rate three times; multistep_decay divides it by ten at "
        "one half and at three quarters; cosine_decay falls along half a wave to zero; "
        "with linear_warmup it rises from nearly zero in the first seventh; "
        "cosine_restarts starts again twice, each wave twice as long as the last one; "
        "one_cycle rises in a straight line for three tenths, then falls to zero.",
    )
    for place, (name, rate) in enumerate(CURVES.items()):
        column, row = place % 2, place // 2
        panel(figure, 40 + 188 * column, 12 + 152 * row, name, rate)
    figure.text(MIDDLE, 466, "updates done", "mid soft small")
    return figure


def panel(
    figure: Figure, x: float, y: float, name: str, rate: Callable[[int], float]
) -> None:
    """Draw a curve with its axes; (x, y) is the upper left corner."""
    wide, top, bottom = 156.0, y + 18, y + 114
    across = Axis([0.0, T], x, x + wide, whole=True)
    up = Axis([0.0, LR], bottom, top)
    figure.text(x, y + 8, name, "bold small")
    for value in (0, LR / 2, LR):
        level = up.place(value)
        figure.line([(x, level), (x + wide, level)], "le dash" if value else "ls thin")
        if x < 100:  # the left column: one scale for a row
            figure.text(x - 6, level + 4, f"{value:g}", "end soft small")
    for value in (0, T // 2, T):
        css = {0: "", T: "end "}.get(value, "mid ") + "soft small"
        figure.text(across.place(value), bottom + 15, f"{value}", css)
    points = [(across.place(step), up.place(rate(step))) for step in range(T)]
    figure.line(corners(points), "l0")


def corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points without those inside of a level stretch."""
    return [
        point
        for before, point, after in zip(
            [points[0], *points], points, [*points[1:], points[-1]], strict=False
        )
        if not before[1] == point[1] == after[1] or point in (points[0], points[-1])
    ]
