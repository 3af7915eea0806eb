"""The processor time that control groups grant to this process (Linux).

A container may see 64 cores but be granted the time of two; when it has used that, it
is paused.  ``os.sched_getaffinity`` does not show this limit.  It is in ``cpu.max``
(version 2 of control groups) or ``cpu.cfs_quota_us`` (version 1) of the process's group
and of the groups around it; the smallest counts.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the number of processors whose time is granted, None without a limit."""
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
    """Return how many threads use the whole quota, at most ``cores``.

    The quota is rounded up, as in Go, Java and .NET: two threads can use 1.5
    processors, one thread only one.
    """
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _groups(root: Path) -> Iterator[tuple[int, Path]]:
    """Yield the version and folder of this process's groups, and of those around them.

    A line of ``/proc/self/cgroup`` is ``NUMBER:CONTROLLERS:PATH``, with 0 and no
    controllers for version 2.  A line of ``/proc/self/mountinfo`` says where a path is
    mounted: ``ID PARENT DEVICE ROOT MOUNT_POINT OPTIONS ... - TYPE SOURCE OPTIONS``.
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
        top, mount_point = (_unescaped(word) for word in before.split(" ")[3:5])
        # A path outside of what is mounted is the host's: inside a container the
        # container's own group is the top.
        group, inside = paths[version], PurePosixPath()
        if group.is_relative_to(top):
            inside = group.relative_to(top)
        if ".." in inside.parts:
            inside = PurePosixPath()
        for part in (inside, *inside.parents):
            yield version, root / mount_point.lstrip("/") / part


def _unescaped(path: str) -> str:
    """Decode a path of ``mountinfo``, which writes a space as backslash 040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
