"""Two network namespaces joined by a cable, which stand for two hosts; needs root.

    namespace 1                                                     namespace 2
    10.77.0.1  -- tbf (rate) --> veth pair --> delay line --------> 10.77.0.2
               <-- delay line -- veth pair <-- tbf (rate) ---------

A token bucket of ``tc`` gives each direction its rate, and a delay line at each end
holds what arrives.  Everything is removed at the end, also after Ctrl-C.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
PREFIX = f"odyssey{os.getpid()}-"
ADDRESSES = ("10.77.0.1", "10.77.0.2")
#: The network device of each host.
DEVICE = "eth0"
#: Bytes that may be sent at once: a packet of 64 KiB must fit, or it is cut up.
BURST = 128 << 10
#: Most bytes that wait in front of the cable.
QUEUE = 32 << 20
#: A host's: Reno, which every namespace may choose and, without losses, is as good as
#: any; and windows for 25 Gbit/s over 10 ms there and back.
SETTINGS = {
    "net.ipv4.tcp_congestion_control": "reno",
    "net.ipv4.tcp_rmem": "4096 131072 134217728",
    "net.ipv4.tcp_wmem": "4096 131072 134217728",
    "net.ipv4.tcp_slow_start_after_idle": "0",
}


def run(*command: str) -> str:
    """Return what a command prints; raise with what it says if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def inside(host: int) -> list[str]:
    """Return the beginning of a command that runs on host 1 or 2."""
    return ["ip", "netns", "exec", f"{PREFIX}{host}"]


def needed() -> str:
    """Return what is missing to build the two hosts; "" if nothing is."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root, on Linux"
    programs = "ip", "tc", "sysctl", "iptables-legacy", "unshare", "hostname"
    missing = [name for name in programs if shutil.which(name) is None]
    return f"programs that are missing: {', '.join(missing)}" if missing else ""


@contextlib.contextmanager
def two_hosts(gbit: float | None, delay: float) -> Iterator[None]:
    """Set up two hosts, and remove them at the end.

    Parameters
    ----------
    gbit : rate of each direction in Gbit/s; None: what the machine can
    delay : seconds that a packet takes in each direction
    """
    lines = []
    try:
        for host in (1, 2):
            run("ip", "netns", "add", f"{PREFIX}{host}")
        run("ip", "link", "add", DEVICE, "netns", f"{PREFIX}1", "type", "veth",
            "peer", "name", DEVICE, "netns", f"{PREFIX}2")  # fmt: skip
        for host, address in zip((1, 2), ADDRESSES, strict=True):
            for command in (
                ["ip", "link", "set", "lo", "up"],
                ["ip", "addr", "add", f"{address}/24", "dev", DEVICE],
                ["ip", "link", "set", DEVICE, "up"],
                *[["sysctl", "-q", f"{name}={to}"] for name, to in SETTINGS.items()],
            ):
                run(*inside(host), *command)
            if gbit is not None:
                bucket = f"rate {gbit}gbit burst {BURST} limit {QUEUE}"
                command = f"tc qdisc add dev {DEVICE} root tbf {bucket}"
                run(*inside(host), *command.split())
            if delay:
                lines.append(_delay(host, delay))
        _wait_until_up()
        yield
    finally:
        for line in lines:
            line.kill()
            line.wait()
        for host in (1, 2):
            subprocess.run(
                ["ip", "netns", "del", f"{PREFIX}{host}"], stderr=subprocess.DEVNULL
            )


def _delay(host: int, delay: float) -> subprocess.Popen:
    """Hold what arrives at a host."""
    rule = f"iptables-legacy -t mangle -A PREROUTING -i {DEVICE} -j NFQUEUE"
    line = subprocess.Popen(
        [*inside(host), sys.executable, str(HERE / "delay_line.py"), str(delay)],
        stdout=subprocess.PIPE,
    )
    if line.stdout.readline() != b"ready\n":
        raise OSError(f"the delay line of host {host} did not begin")
    run(*inside(host), *rule.split())
    return line


def _wait_until_up() -> None:
    """Wait until both ends are up, which the kernel notices up to a second later.

    Before that, the libraries of MPI take a device for one that is not there.
    """
    end = time.monotonic() + 5
    for host in (1, 2):
        while "state UP" not in run(*inside(host), "ip", "link", "show", DEVICE):
            if time.monotonic() > end:
                raise OSError(f"{DEVICE} of host {host} does not come up")
            time.sleep(0.05)


def received(host: int) -> int:
    """Return the bytes that have come to a host so far."""
    text = run(*inside(host), "cat", "/proc/net/dev")
    return int(re.search(rf"{DEVICE}:\s*(\d+)", text)[1])
