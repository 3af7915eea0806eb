"""A container's share of the processors counts when threads are chosen."""

from pathlib import Path

import pytest

from odyssey import threads
from odyssey.cpu_quota import cores_of_quota, cpu_quota

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
#: What Docker shows with version 1: the group's folder itself, by its path on the host.
V1_IN_DOCKER = V1.replace("0:29 / ", "0:29 /docker/1f ")
OTHERS = (
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


@pytest.fixture
def system(tmp_path):
    """Writes what the kernel would show of a process's groups; returns the root."""

    def write(membership, mounts, limits):
        files = {
            "proc/self/cgroup": f"9:name=systemd:/init\n{membership}\n",
            "proc/self/mountinfo": OTHERS + mounts,
            **{f"sys/fs/cgroup/{name}": text for name, text in limits.items()},
        }
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def v1(folder, quota, period=100000):
    return {
        f"cpu/{folder}cpu.cfs_quota_us": f"{quota}\n",
        f"cpu/{folder}cpu.cfs_period_us": f"{period}\n",
    }


@pytest.mark.parametrize(
    "membership, mounts, limits, expected",
    [
        ("0::/", V2, {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/", V2, {"cpu.max": "max 100000\n"}, None),
        ("0::/", V2, {}, None),  # the machine's own group has no such file
        ("0::/a/b", V2, {"a/b/cpu.max": "50000 20000\n", "a/cpu.max": "max 1\n"}, 2.5),
        # the least of all that are around counts
        ("0::/a/b", V2, {"a/b/cpu.max": "max 1\n", "a/cpu.max": "7 2\n"}, 3.5),
        ("0::/a/b", V2, {"a/b/cpu.max": "400 100", "a/cpu.max": "300 100"}, 3.0),
        # a path that is not in what this process sees mounted
        ("0::/../../pod/x", V2, {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/", V2.replace("p rw", r"p/a\040b rw"), {"a b/cpu.max": "8 2"}, 4.0),
        ("4:cpu,cpuacct:/", V1, v1("", 150000), 1.5),
        ("4:cpu,cpuacct:/", V1, v1("", -1), None),
        ("4:cpu:/a/b", V1, {**v1("a/b/", -1), **v1("a/", 50000)}, 0.5),
        ("4:cpu:/docker/1f", V1_IN_DOCKER, v1("", 300000), 3.0),
        ("4:cpu:/a\n0::/b", V1 + V2, v1("a/", 200000, 50000), 4.0),
        ("4:memory:/a", V1, v1("a/", 100000), None),
        ("0::/", V2, {"cpu.max": "nonsense"}, None),
        ("0::/", V2, {"cpu.max": "100 0"}, None),
        ("nonsense", "nonsense\n", {}, None),
    ],
)
def test_the_quota(system, membership, mounts, limits, expected):
    assert cpu_quota(system(membership, mounts, limits)) == expected


def test_where_there_are_no_control_groups(tmp_path):
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    "quota, threads", [(None, 8), (0.5, 1), (1.0, 1), (1.5, 2), (3.01, 4), (64.0, 8)]
)
def test_it_is_rounded_up_and_never_above_the_cores(quota, threads):
    assert cores_of_quota(quota, 8) == threads


def test_threads_fit_the_quota_unless_they_are_told(monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: 8)
    monkeypatch.setattr(threads, "cpu_quota", lambda: 2.5)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    assert threads.default_threads() == 3
    monkeypatch.setenv("NUMBA_NUM_THREADS", "8")
    assert threads.default_threads() == 8


def test_the_real_system_is_read_without_an_error():
    quota = cpu_quota(Path("/"))
    assert quota is None or quota > 0
