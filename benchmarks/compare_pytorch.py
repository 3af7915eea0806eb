"""Compare Odyssey with PyTorch, ONNX Runtime and OpenVINO: first results, then speed.

    python benchmarks/compare_pytorch.py
    python benchmarks/compare_pytorch.py --what train --rounds 5 --json train.json
    python benchmarks/compare_pytorch.py --what train,eval --model resnet50

Training is one step of a network (forward, loss, backward, update with momentum),
evaluation is its forward with running statistics, and operations are always those of
ResNet-18 at its shapes.  All contenders start from the same weights and batch.  Nothing
is timed before its results agree with Odyssey's, within the tolerances of
`agreement.py`.

Every measurement runs in a process of its own, first Odyssey's and then that of each
peer, several times.  So a machine that becomes slower makes all of them slower, and
ratios are taken for each round.  A peer that is not installed is left out, and it is
said how to install it.
"""

import signal
import sys
import tempfile

import click
import machine
from agreement import Disagreement, compare
from contenders import NOTES, ODYSSEY, PACKAGES, Contender, present
from networks import model_option, written
from op_cases import JOBS
from options import size_options, write_json
from tables import model_table, op_table, ratios
from workers import WorkerError, Workers

SECTIONS = ("train", "eval", "ops")
TITLES = {
    "train": "Training step of {}",
    "eval": "Evaluation of {}",
    "ops": "Operations of ResNet-18, forward and backward",
}


class Sections(click.ParamType):
    """Some of train, eval and ops, separated by commas."""

    name = "train,eval,ops"

    def convert(self, value, param, ctx):
        asked = value if isinstance(value, tuple) else tuple(value.split(","))
        if unknown := sorted(set(asked) - set(SECTIONS)):
            self.fail(f"{unknown[0]!r} is none of {', '.join(SECTIONS)}.", param, ctx)
        return tuple(section for section in SECTIONS if section in asked)


def title(section: str, report: dict) -> str:
    """Return the title of a section of the report."""
    return TITLES[section].format(written(report["model"]))


def jobs_of(section: str) -> tuple[str, ...]:
    """Return the jobs of a section, each of which runs in a process of its own."""
    return JOBS if section == "ops" else (section,)


def checks_of(
    section: str, peers: list[Contender]
) -> list[tuple[str, list[Contender]]]:
    """Return what is checked with which peers; for training also a step in float64."""
    exact = [peer for peer in peers if peer.name == "pytorch" and section == "train"]
    jobs = [(job, peers) for job in jobs_of(section)]
    return [("train64", exact), *jobs] if exact else jobs


def check_section(
    workers: Workers, section: str, peers: list[Contender]
) -> dict[str, dict]:
    """Compare the results of all peers with Odyssey's; return the largest differences.

    A peer that cannot run is left out of the returned dictionary, and so is one whose
    lower precision is not enough for this network.
    """
    worst = {peer.name: {} for peer in peers}
    for job, checked in checks_of(section, peers):
        expected = workers.check(job, ODYSSEY)
        for peer in checked:
            if peer.name not in worst:
                continue
            try:
                differences = compare(workers.check(job, peer), expected, peer)
            except (WorkerError, Disagreement) as error:
                if isinstance(error, Disagreement) and peer.precision == "float32":
                    raise
                click.echo(f"left out: {error}", err=True)
                del worst[peer.name]
                continue
            for quantity, pair in differences.items():
                before = worst[peer.name].get(quantity, (0, 0))
                worst[peer.name][quantity] = max(before, pair)
    for name, differences in worst.items():
        text = ", ".join(
            f"{quantity} {difference:.1e} (at most {tolerance:.0e})"
            for quantity, (difference, tolerance) in differences.items()
        )
        click.echo(f"  {name:22} {text}")
    return worst


def time_section(
    workers: Workers, section: str, contenders: list[Contender], rounds: int
) -> dict[str, dict]:
    """Measure in turn; return seconds and memory of each contender for each round."""
    times = {c.name: {"seconds": {}, "peak_memory_mib": []} for c in contenders}
    for job in jobs_of(section):
        for number in range(1, rounds + 1):
            for contender in contenders:
                click.echo(
                    f"{job}: round {number} of {rounds}, {contender.name}", err=True
                )
                measured = workers.time(job, contender)
                kept = times[contender.name]
                kept["peak_memory_mib"].append(measured["mib"])
                for part, seconds in measured["seconds"].items():
                    kept["seconds"].setdefault(part, []).append(seconds)
    if section == "ops":  # a process runs one operation: its memory says nothing
        for kept in times.values():
            del kept["peak_memory_mib"]
    return times


def run(what, report, path, workers, rounds) -> None:
    """Check all sections, then time them; print and write each when it is done."""
    peers, advice = present(what)
    for line in advice:
        click.echo(line)
    workers.run("inputs")
    if peers:
        click.echo("\nRelative difference of each peer's results from Odyssey's:")
    else:
        click.echo("Nobody to compare with: Odyssey alone, its results unchecked.")
    able = {}
    for section in what:
        of_section = [peer for peer in peers if section in peer.sections]
        if of_section:
            click.echo(title(section, report))
            report["differences"][section] = check_section(workers, section, of_section)
        checked = report["differences"].get(section, {})
        able[section] = [peer for peer in of_section if peer.name in checked]
    for section in what:
        contenders = [ODYSSEY, *able[section]]
        times = time_section(workers, section, contenders, rounds)
        report["times"][section] = times
        report["ratios"][section] = ratios(times)
        write_json(path, report)
        click.echo(f"\n{title(section, report)}, batch {report['batch']}\n")
        if section == "ops":
            click.echo(op_table(times, contenders))
        else:
            click.echo(model_table(times, contenders, report["batch"], NOTES))


@click.command()
@model_option
@size_options(repeat_help="Timed steps in a process, of which the median counts.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Processes of each contender.",
)
@click.option("--what", type=Sections(), default=SECTIONS, help="Default: all three.")
@click.pass_context
def main(ctx, model, batch, threads, rounds, repeat, what, path):
    """Check Odyssey's results against PyTorch and others, then compare their speed.

    \b
    Exit status:
      0    all measured
      1    results differ, or a contender failed
      2    wrong option
      130  stopped by Ctrl-C (143 by SIGTERM)
    """
    described = machine.describe(threads, PACKAGES)
    click.echo(machine.as_text(described))
    report = {
        "machine": described,
        "model": model,
        "batch": batch,
        "rounds": rounds,
        "repeat": repeat,
        "differences": {},
        "times": {},
        "ratios": {},
    }
    # raise an exception, so that the process that measures ends too
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with tempfile.TemporaryDirectory() as folder:
            sizes = {"batch": batch, "threads": threads, "repeat": repeat}
            sizes["model"] = model
            run(what, report, path, Workers(folder, **sizes), rounds)
    except (WorkerError, Disagreement, OSError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        ctx.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main()
