"""Measure training on two ranks with a network between them; needs root and Linux.

    python benchmarks/network/measure_network.py --json network.json
    python benchmarks/network/measure_network.py --gbit 10 --delay 1e-3 --what sums
    python benchmarks/network/measure_network.py --network tcp --mpiexec MPIEXEC

Two network namespaces stand for two hosts (`hosts.py`), with one rank of one thread in
each.  For each rate and delay: what a plain TCP stream gets, the time of the sums and
gathers alone, and of steps of ResNet-18 at two widths.  The bytes that come over the
cable are counted: if they are too few, the library of MPI has gone round it through the
memory of the machine.  A file of measurements is added to, and points that it has are
not measured again.

What this cannot show: both hosts share memory, two cores and the work of the network,
which is the processor's here.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hosts
import machine
from bench_ranks import environment_of, launcher, own_mpiexec
from options import json_option, write_json

HERE = Path(__file__).resolve().parent
GBIT = (1, 10, 25)
DELAYS = (1e-4, 1e-3, 5e-3)  # seconds in one direction
#: How the libraries' ways to the network are told to take the cable: two of MPICH, and
#: one of Open MPI.
NETWORKS = {
    "ucx": {"UCX_TLS": "tcp", "UCX_NET_DEVICES": hosts.DEVICE},
    "ofi": {
        "MPIR_CVAR_CH4_NETMOD": "ofi",
        "FI_PROVIDER": "tcp",
        "FI_TCP_IFACE": hosts.DEVICE,
    },
    "tcp": {
        "OMPI_MCA_pml": "ob1",
        "OMPI_MCA_btl": "self,tcp",
        "OMPI_MCA_btl_tcp_if_include": hosts.DEVICE,
        "PRTE_MCA_prte_if_include": hosts.DEVICE,
        "PRTE_MCA_plm_ssh_agent": str(HERE / "enter.py"),
    },
}
#: Options of ranks_odyssey.py, by what is measured.
STEPS = {
    f"width {width}{name}": f"--width {width} --steps {steps}{options}"
    for width, steps in ((64, 5), (16, 16))
    for name, options in {
        "": "",
        ", bf16": " --wire bf16",
        ", synchronised": " --sync-batch-norm",
        ", not overlapped": " --no-overlap",
    }.items()
}
#: Bytes of the gradients of ResNet-18.
GRADIENTS = 4 * 11_173_962


class Job(NamedTuple):
    """How ranks are started: by which launcher, over which of its networks."""

    mpiexec: str
    network: str

    def run(self, options: list[str]) -> tuple[dict, int]:
        """Run a program on a rank in each host; return its JSON and bytes received."""
        before = hosts.received(2)
        command, environment = self._command()
        done = subprocess.run(
            [*hosts.inside(1), *command, sys.executable, *options],
            env=environment_of(
                {"ODYSSEY_NAMESPACE": hosts.PREFIX}
                | NETWORKS[self.network]
                | environment
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            raise click.ClickException(f"{options}: {done.stderr.strip()}")
        return json.loads(done.stdout.splitlines()[-1]), hosts.received(2) - before

    def _command(self) -> tuple[list[str], dict[str, str]]:
        command, environment = launcher(self.mpiexec)
        if self.network == "tcp":
            # each host would bind its rank to its first CPU, and both have the same
            slots = ",".join(f"{address}:1" for address in hosts.ADDRESSES)
            command += ["--host", slots, "--bind-to", "none"]
            for name in ("PYTHONPATH", "MPI4PY_LIBMPI"):
                command += ["-x", name]
            return command, environment
        command += ["-launcher", "ssh", "-launcher-exec", str(HERE / "enter.py")]
        command += ["-localhost", hosts.ADDRESSES[0]]
        return [*command, "-hosts", ",".join(hosts.ADDRESSES)], environment


def stream(seconds: float = 1.0) -> dict[str, float]:
    """Return what TCP streams get of the cable, and the time of a byte."""
    program = [sys.executable, str(HERE / "stream.py")]
    serve = subprocess.Popen(
        [*hosts.inside(2), *program, "serve", str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        serve.stdout.readline()
        there = [*program, hosts.ADDRESSES[1], str(seconds)]
        back = float(hosts.run(*hosts.inside(1), *there))
        one, both = json.loads(serve.stdout.readline())
        return {"gbit": one, "gbit_both_ways": both, "round_trip": back}
    finally:
        serve.kill()
        serve.wait()


def measure(what: str, job: Job) -> dict:
    """Return what is measured on the hosts as they are now."""
    if what == "stream":
        return stream()
    if what == "sums":
        found, received = job.run([str(HERE / "collectives.py")])
        sums = 30 * GRADIENTS
    else:
        options = STEPS[what].split()
        program = [str(HERE.parent / "ranks_odyssey.py"), *options]
        found, received = job.run(program)
        width = int(options[1])
        bytes_of = 2 if "bf16" in options else 4
        sums = len(found["loss"]) * GRADIENTS * bytes_of // 4 * width**2 // 64**2
        del found["loss"]
    if received < 0.9 * sums:
        raise click.ClickException(
            f"{what}: {received} bytes came over the cable, of some {sums}"
        )
    return found | {"received": received}


def numbers(kind):
    return lambda ctx, param, text: tuple(map(kind, text.split(",")))


@click.command(context_settings={"show_default": True})
@click.option(
    "--gbit",
    default=",".join(map(str, GBIT)),
    callback=numbers(float),
    help="Rates; 0: what the machine can.",
)
@click.option(
    "--delay",
    default=",".join(map(str, DELAYS)),
    callback=numbers(float),
    help="Seconds in one direction.",
)
@click.option("--what", default="", help=f"Of stream; sums; {'; '.join(STEPS)}.")
@click.option("--network", type=click.Choice(list(NETWORKS)), default="ucx")
@click.option("--mpiexec", help="That of MPICH for ucx and ofi, of Open MPI for tcp.")
@json_option("File of measurements, which is added to.")
def main(gbit, delay, what, network, mpiexec, path):
    """Time sums, gathers and training steps over networks of several speeds."""
    if missing := hosts.needed():
        raise click.ClickException(missing)
    mpiexec = mpiexec or own_mpiexec()
    if mpiexec is None:
        raise click.ClickException("no mpiexec: --mpiexec names one")
    job = Job(mpiexec, network)
    # raise an exception, so that the hosts are removed
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    report = {"machine": machine.describe(1), "network": network, "points": []}
    if path and path.exists():
        report = json.loads(path.read_text())
    asked = what.split(";") if what else ["stream", "sums", *STEPS]
    for rate in gbit:
        for seconds in delay:
            kept = [
                point
                for point in report["points"]
                if (point["gbit"], point["delay"]) == (rate, seconds)
            ]
            if not kept:
                kept = [{"gbit": rate, "delay": seconds, "measured": {}}]
                report["points"] += kept
            found = kept[0]["measured"]
            with hosts.two_hosts(rate or None, seconds):
                for item in map(str.strip, asked):
                    if item not in found:
                        found[item] = measure(item, job)
                        click.echo(f"{rate:g} Gbit/s, {1e3 * seconds:g} ms, {item}")
                        write_json(path, report)


if __name__ == "__main__":
    main()
