"""Two hosts that are network namespaces: what they need, their delay, their end."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "network"))

import hosts
import measure_network
from click.testing import CliRunner

sets_up = pytest.mark.skipif(bool(hosts.needed()), reason=hosts.needed())


def namespaces():
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True)
    return [name for name in listed.stdout.split() if name.startswith(hosts.PREFIX)]


def test_who_is_not_root_is_told_so(monkeypatch):
    monkeypatch.setattr(hosts.os, "geteuid", lambda: 1000, raising=False)
    done = CliRunner().invoke(measure_network.main, [])
    assert done.exit_code == 1
    assert done.output == "Error: network namespaces need root, on Linux\n"


@sets_up
def test_packets_take_their_time_and_nothing_stays_behind():
    with hosts.two_hosts(10, 2e-3):
        assert len(namespaces()) == 2
        found = measure_network.stream(0.2)
        assert hosts.received(2) > 1e6
    assert found["round_trip"] >= 4e-3
    assert 0 < found["gbit"] < 10
    assert namespaces() == []


@sets_up
def test_the_hosts_are_removed_after_an_error():
    with pytest.raises(KeyboardInterrupt), hosts.two_hosts(None, 0):
        raise KeyboardInterrupt
    assert namespaces() == []


@sets_up
def test_a_command_that_fails_is_told_with_its_words():
    with pytest.raises(OSError, match=r"ip netns add : .*"):
        hosts.run("ip", "netns", "add", "")
