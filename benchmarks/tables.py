"""Tables of measurements: rates, memory, and how many times as fast Odyssey is."""

import statistics

from contenders import Contender

Times = dict[str, dict]  # by contender: seconds by part and round, memory by round


def model_table(
    times: Times, contenders: list[Contender], batch: int, notes: dict[str, str]
) -> str:
    """Return a line for each contender, and one for the fastest in float32."""
    lines = [
        f"{'':22} {'images/s':>9} {'least to most':>17} {'peak MiB':>9} "
        f"{'odyssey is':>11} {'by round':>15}"
    ]
    faster = {name: next(iter(parts.values())) for name, parts in ratios(times).items()}
    for name, kept in times.items():
        rates = [batch / s for s in next(iter(kept["seconds"].values()))]
        spread = f"{min(rates):.1f} to {max(rates):.1f}"
        memory = statistics.median(kept["peak_memory_mib"])
        line = f"{name:22} {statistics.median(rates):9.1f} {spread:>17} {memory:9.0f}"
        if name in faster:
            line += f" {_ratio(faster[name])}  {notes.get(name, '')}"
        lines.append(line.rstrip())
    peers = [c.name for c in contenders[1:] if c.precision == "float32"]
    if len(peers) > 1:
        best = [min(r) for r in zip(*(faster[peer] for peer in peers), strict=True)]
        lines.append(f"{'the fastest in float32':22} {'':37} {_ratio(best)}")
    return "\n".join(lines)


def op_table(times: Times, contenders: list[Contender]) -> str:
    """Return a line for each part of each operation, in milliseconds."""
    names = [contender.name for contender in contenders]
    parts, faster = list(times["odyssey"]["seconds"]), ratios(times)
    width = max(map(len, parts))
    lines = [
        "milliseconds; in brackets how many times as fast Odyssey is",
        f"{'':{width}} " + " ".join(f"{name:>22}" for name in names),
    ]
    for part in parts:
        cells = []
        for name in names:
            found = [s for s in times[name]["seconds"][part] if s]
            cell = f"{1e3 * statistics.median(found):.3f}" if found else "too short"
            if name in faster:
                found = [ratio for ratio in faster[name][part] if ratio]
                ratio = f"{statistics.median(found):.2f}" if found else "-"
                cell += f" [{ratio:>6}]"
            cells.append(f"{cell:>22}")
        lines.append(f"{part:{width}} {' '.join(cells)}")
    return "\n".join(lines)


def ratios(times: Times) -> dict[str, dict[str, list[float | None]]]:
    """Return how many times as fast Odyssey was, for each contender, part and round."""
    own = times["odyssey"]["seconds"]
    return {
        name: {
            part: [
                peer / mine if peer and mine else None
                for mine, peer in zip(own[part], rounds, strict=True)
            ]
            for part, rounds in kept["seconds"].items()
        }
        for name, kept in times.items()
        if name != "odyssey"
    }


def _ratio(found: list[float | None]) -> str:
    found = [ratio for ratio in found if ratio]
    if not found:
        return f"{'-':>11}"
    spread = f"{min(found):.2f} to {max(found):.2f}"
    return f"{statistics.median(found):8.2f} x  {spread:>15}"
