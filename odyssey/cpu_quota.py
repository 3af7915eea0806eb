"""The share of the processors that control groups leave to this process (Linux).

A container may see 64 cores and be granted the time of two: whatever it uses beyond, it
is stopped for.  ``os.sched_getaffinity`` does not know of it.  The grant stands in
``cpu.max`` (version 2 of control groups) or ``cpu.cfs_quota_us`` (version 1) of the
process's group and of all groups around it, of which the least counts.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return how many processors' time is granted, None if there is no limit."""
    quotas = []
    for version, folder in _groups(root):
        try:
            if version == 2:
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            quotas.append(int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue  # "max", or a group without a limit of its own
    return min((quota for quota in quotas if quota > 0), default=None)


def cores_of_quota(quota: float | None, cores: int) -> int:
    """Return how many of ``cores`` threads fill the quota.

    It is rounded up, as Go, Java and .NET do it: two threads get all of 1.5 processors,
    one thread gets one.
    """
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _groups(root: Path) -> Iterator[tuple[int, Path]]:
    """Yield the version and folder of this process's groups, and of those around them.

    Lines of ``/proc/self/cgroup`` are ``NUMBER:CONTROLLERS:PATH``, with 0 and no
    controllers for version 2; those of ``/proc/self/mountinfo`` say which path lies
    where: ``ID PARENT DEVICE ROOT PLACE OPTIONS ... - TYPE SOURCE OPTIONS``.
    """
    try:
        memberships = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    paths: dict[int, PurePosixPath] = {}
    for line in memberships:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths[2] = PurePosixPath(path)
        elif "cpu" in controllers.split(","):
            paths[1] = PurePosixPath(path)
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, *_, options = after.split(" ") if after else ("", "")
        version = {"cgroup2": 2, "cgroup": 1}.get(kind)
        if version not in paths or (version == 1 and "cpu" not in options.split(",")):
            continue
        top, place = (_unescaped(word) for word in before.split(" ")[3:5])
        # A path outside of what is mounted is one of the host: seen from inside a
        # container its own group is the top.
        group, inside = paths[version], PurePosixPath()
        if group.is_relative_to(top):
            inside = group.relative_to(top)
        if ".." in inside.parts:
            inside = PurePosixPath()
        folder = root / place.lstrip("/")
        for part in (inside, *inside.parents) if inside.parts else (inside,):
            yield version, folder / part


def _unescaped(path: str) -> str:
    """Return a path of ``mountinfo``, in which a space is a backslash and 040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
