"""Compare 2 ranks with 1 process of 2 threads, and with PyTorch's, on one machine.

    python benchmarks/bench_ranks.py
    python benchmarks/bench_ranks.py --rounds 40 --json ranks.json
    python benchmarks/bench_ranks.py --torch-python PYTHON --mpiexec A --mpiexec B

All train ResNet-18 on the same batch from the same weights.  Before anything is timed,
2 ranks with synchronised batch norm must find the losses of 1 process, and 2 ranks with
local statistics the first loss of PyTorch's DistributedDataParallel (gloo, 2 processes
of 1 thread, channels-last).  Then all stay alive and take turns of a few steps
(`turns.py`), every other round in reverse, and ratios are taken for each round.  The
last of them is one process with a rank's share of the batch, to whose peak memory that
of a rank is compared.

A step of ranks takes as long as the slowest rank's.  Its "sums" are the time in sums of
the rank that was there least, thus came last and did not wait for the others: what they
cost.  "and waiting" is the mean of the ranks: what a rank that came first waited is in
it, be it that the other had more to do, or less of the machine.

``--mpiexec`` names a launcher, by default the one of this Python; its library is taken
from ``lib`` beside its folder, so launchers of several libraries can be compared.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
import machine
import numpy as np
from options import json_option, write_json
from turns import Contender, Failed, ended
from workers import SEARCH_PATH

HERE = Path(__file__).resolve().parent
RANKS = 2
STEPS_CHECKED = 5
#: Relative differences of losses: the same function; another library.
SAME, SIMILAR = 1e-5, 1e-4
#: Parameters of ResNet-18, in float32, in MiB.
GRADIENTS_MIB = 4 * 11_173_962 / 2**20
ONE, LOCAL, TORCH = "1 process, 2 threads", "1 process, half the batch", "PyTorch DDP"


def launcher(mpiexec: str) -> tuple[list[str], dict[str, str]]:
    """Return the beginning of a command that starts the ranks, and its environment."""
    environment = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    beside = Path(mpiexec).parents[1] / "lib"
    # the file without a number is for linkers, in wheels not even a library
    if libraries := sorted(beside.glob("libmpi.so.*")):
        environment["MPI4PY_LIBMPI"] = str(libraries[0])
    return [mpiexec, "-n", str(RANKS)], environment


def own_mpiexec() -> str | None:
    """Return the mpiexec beside this Python, else the first in PATH."""
    places = str(Path(sys.executable).parent), os.environ["PATH"]
    return shutil.which("mpiexec", path=os.pathsep.join(places))


def contenders(mpiexecs, torch_python, batch):
    """Return the command and environment of each contender by its name."""
    ours, theirs = (str(HERE / f"ranks_{name}.py") for name in ("odyssey", "torch"))
    one, local = ["--threads", str(RANKS)], ["--batch", str(batch // RANKS)]
    found = {ONE: ([sys.executable, ours, "--batch", str(batch), *one], {})}
    for mpiexec in mpiexecs:
        begin, environment = launcher(mpiexec)
        command = [*begin, sys.executable, ours, "--batch", str(batch)]
        found[name_of(mpiexec)] = (command, environment)
    if torch_python:
        found[TORCH] = ([torch_python, theirs, "--batch", str(batch)], {})
    return found | {LOCAL: ([sys.executable, ours, *local], {})}


def name_of(mpiexec: str) -> str:
    """Return the name of what a launcher starts."""
    text = subprocess.run([mpiexec, "--version"], capture_output=True, text=True).stdout
    return f"{RANKS} ranks, {'Open MPI' if 'Open MPI' in text else 'MPICH'}"


def environment_of(own: dict[str, str]) -> dict[str, str]:
    """Return the environment of a contender that asks for ``own``."""
    path = os.pathsep.join(map(str, SEARCH_PATH))
    return {**os.environ, "PYTHONPATH": path, **own}


def measured(name: str, contender, *options: str) -> dict:
    """Return what a contender prints."""
    command, environment = contender
    done = subprocess.run(
        [*command, *options],
        env=environment_of(environment),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Failed(ended(name, done.returncode, done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def start(name: str, contender, steps: int, folder: Path) -> Contender:
    """Start a contender's processes, which will take turns of ``steps`` steps."""
    command, environment = contender
    command = [*command, "--steps", str(steps), "--turns", str(folder)]
    ranks = 1 if name in (ONE, LOCAL) else RANKS
    return Contender(name, command, environment_of(environment), ranks, folder)


def turn(contender) -> dict:
    """Return what a turn of a contender took, each step's numbers over its ranks."""
    ranks = contender.turn()
    seconds = np.max([rank["seconds"] for rank in ranks], axis=0)
    found = {"seconds": seconds.tolist(), "mib": [rank["mib"] for rank in ranks]}
    if all("in_sums" in rank for rank in ranks):
        in_sums = np.array([rank["in_sums"] for rank in ranks])
        found["sums"] = (in_sums.min(axis=0) / seconds).tolist()
        found["waiting"] = (in_sums.mean(axis=0) / seconds).tolist()
    return found


def check(found: dict) -> dict[str, float]:
    """Return relative differences of losses; raise if they are too large."""
    steps = ["--warmup", "0", "--steps", str(STEPS_CHECKED)]
    expected = measured(ONE, found[ONE], *steps)["loss"]
    pairs, firsts = {}, {}
    for name in [name for name in found if "ranks" in name]:
        losses = measured(name, found[name], "--sync-batch-norm", *steps)["loss"]
        pairs[f"{name}, synchronised"] = losses, expected, SAME
        firsts[name] = measured(name, found[name], *steps)["loss"][:1]
    if TORCH in found:
        losses = measured(TORCH, found[TORCH], *steps)["loss"][:1]
        for name, first in firsts.items():
            pairs[f"{name}, local, and {TORCH}"] = first, losses, SIMILAR
    differences = {}
    for name, (losses, others, most) in pairs.items():
        difference = float(np.max(np.abs(np.divide(losses, others) - 1)))
        click.echo(f"  {name:40} {difference:.1e} (at most {most:.0e})")
        if not difference <= most:
            raise Failed(f"{name}: losses {losses}, expected {others}")
        differences[name] = difference
    return differences


def table(rounds: dict[str, list[dict]]) -> str:
    """Return a line for each contender: time, ratios, share of sums, memory."""
    lines = [
        f"{'':28}{'ms a step':>10}{'of 1 process':>13}{'quartiles':>15}"
        f"{'of PyTorch':>12}{'quartiles':>15}{'sums':>7}{'and waiting':>13}"
        f"{'MiB':>7}{'added':>7}"
    ]
    medians = {
        name: [statistics.median(run["seconds"]) for run in runs]
        for name, runs in rounds.items()
    }
    peak = {name: max(max(run["mib"]) for run in runs) for name, runs in rounds.items()}
    for name, seconds in medians.items():
        line = f"{name:28}{1e3 * statistics.median(seconds):10.1f}"
        line += _ratios(medians[ONE], seconds, 13) if name != LOCAL else " " * 28
        with_torch = TORCH in medians and name not in (TORCH, LOCAL)
        line += _ratios(medians[TORCH], seconds, 12) if with_torch else " " * 27
        ranks = name not in (ONE, LOCAL, TORCH)
        for key, width in (("sums", 7), ("waiting", 13)):
            shares = [share for run in rounds[name] for share in run.get(key, [])]
            line += f"{statistics.median(shares):{width}.1%}" if ranks else " " * width
        line += f"{peak[name]:7.0f}"
        lines.append(line + (f"{peak[name] - peak[LOCAL]:7.0f}" if ranks else ""))
    return "\n".join(lines)


def _ratios(others: list[float], seconds: list[float], width: int) -> str:
    """Return the median of the ratios of each round, and their quartiles."""
    found = np.divide(others, seconds)
    low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
    spread = f"{low:.2f} to {high:.2f}"
    return f"{middle:{width}.3f}{spread:>15}"


def present_torch(python: str) -> str | None:
    """Return a Python with PyTorch, or None."""
    command = [python, "-c", "import torch, numba, click"]
    return (
        python if not subprocess.run(command, capture_output=True).returncode else None
    )


def take_turns(found, rounds, steps, report, path):
    """Add to a report, and write it, what each contender took in each round."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = {}
        for name, contender in found.items():
            started[name] = start(name, contender, steps, folder / str(len(started)))
            stack.callback(started[name].end)
        for number in range(1, rounds + 1):
            click.echo(f"round {number} of {rounds}", err=True)
            names = list(started) if number % 2 else reversed(started)
            for name in names:
                report["rounds"][name].append(turn(started[name]))
            write_json(path, report)


@click.command()
@click.option("--batch", type=click.IntRange(RANKS), default=128, show_default=True)
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Steps of a turn.",
)
@click.option("--rounds", type=click.IntRange(1), default=12, show_default=True)
@json_option()
@click.option("--mpiexec", "mpiexecs", multiple=True, help="Of MPICH or Open MPI.")
@click.option("--torch-python", default=sys.executable, help="One that has PyTorch.")
@click.option("--checks/--no-checks", default=True, help="Compare losses first.")
def main(batch, repeat, rounds, path, mpiexecs, torch_python, checks):
    """Check that ranks find one process's losses, then compare speed and memory."""
    described = machine.describe(RANKS)
    click.echo(machine.as_text(described))
    own = own_mpiexec()
    if not mpiexecs and own is None:
        raise click.ClickException('no mpiexec: pip install -e ".[mpi]" mpich')
    torch_python = present_torch(torch_python)
    if torch_python is None:
        click.echo("PyTorch is left out: --torch-python names a Python that has it")
    found = contenders(mpiexecs or [own], torch_python, batch)
    report = {"machine": described, "batch": batch, "differences": {}}
    report["rounds"] = {name: [] for name in found}
    try:
        if checks:
            click.echo("\nRelative difference of losses:")
            report["differences"] = check(found)
        take_turns(found, rounds, repeat, report, path)
    except (Failed, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"\nTraining step of ResNet-18, batch {batch}\n")
    click.echo(table(report["rounds"]))
    most = 1.1 * GRADIENTS_MIB
    click.echo(f"\ngradients: {GRADIENTS_MIB:.1f} MiB; 1.1 times: {most:.1f} MiB")


if __name__ == "__main__":
    main()
