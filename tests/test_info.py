"""``python -m odyssey info`` says what is the case."""

import json
import os
import platform
import re
from pathlib import Path

import numba
import numpy as np
import pytest
from click.testing import CliRunner

import odyssey
from odyssey import info, threads
from odyssey.cli.main import main
from odyssey.cpu_quota import cpu_quota
from odyssey.kernels import simd
from odyssey.kernels.elementwise import relu_forward


@pytest.fixture(scope="module")
def known():
    result = CliRunner().invoke(main, ["info", "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_versions(known):
    versions = known["versions"]
    assert versions["odyssey"] == odyssey.__version__
    assert versions["Python"] == platform.python_version()
    assert versions["NumPy"] == np.__version__
    assert versions["Numba"] == numba.__version__
    assert versions["llvmlite"][0].isdigit()


def test_threads_and_their_layer(known):
    assert known["cores"]["machine"] >= known["cores"]["process"] >= 1
    assert known["threads"] == numba.get_num_threads()
    assert known["threading_layer"] == numba.threading_layer()


def test_the_share_of_a_container(known):
    assert known["cores"]["quota"] == cpu_quota()
    granted = {**known, "cores": {"machine": 64, "process": 8, "quota": 1.5}}
    assert (
        "cores            64, 8 of them for this process, granted the time of 1.5\n"
        in info.describe(granted)
    )


def test_the_width_of_vectors(known, monkeypatch):
    assert known["vector_bytes"] == simd.BYTES
    assert f"vectors          {simd.BYTES} bytes" in info.describe(known)
    monkeypatch.setenv("ODYSSEY_DISABLE", "avx512")
    size = min(simd.BYTES, 32)
    text = f"{size} bytes, {size // 4} float32 (without avx512: ODYSSEY_DISABLE)"
    assert info.vectors() == text


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names are those of x86")
def test_simd_is_what_linux_says(known):
    if os.environ.keys() & {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"}:
        pytest.skip("Numba is told to compile for another processor")
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        pytest.skip("no /proc/cpuinfo")
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)[1].split()
    expected = [name for name, flag in info.SIMD.items() if flag in flags]
    assert known["simd"] == expected


def test_cache_folder_is_the_one_in_use(known):
    assert known["cache"]["folder"] == relu_forward.stats.cache_path
    assert known["cache"]["writable"]
    assert list(Path(known["cache"]["folder"]).glob("elementwise.relu_forward*.nbi"))


def test_settings_that_shape_the_code(known, monkeypatch):
    assert known["settings"] == {}
    monkeypatch.setattr(numba.config, "OPT", type(numba.config.OPT)(0))
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    unusual = info.collect()
    assert unusual["settings"] == {"NUMBA_OPT": "0", "NUMBA_BOUNDSCHECK": "1"}
    assert "code settings    NUMBA_OPT=0, NUMBA_BOUNDSCHECK=1" in info.describe(unusual)


def test_text_says_the_same(known):
    result = CliRunner().invoke(main, ["info"])
    assert result.exit_code == 0
    lines = dict(
        re.split(r"  +", line, maxsplit=1) for line in result.stdout.split("\n") if line
    )
    assert lines["Numba"] == numba.__version__
    assert lines["threading layer"] == known["threading_layer"]
    assert lines["threads wait"] == known["threads_wait"] == threads.how_threads_wait()
    assert lines["kernel cache"] == f"{known['cache']['folder']}, writable"
    assert lines["CPU"] == known["cpu"]
    assert lines["code settings"] == "all as usual"
    assert lines["vectors"] == info.vectors()


def test_text_where_there_is_little_to_say(known):
    nothing = {**known, "simd": []}
    nothing["cache"] = {"folder": None, "writable": False}
    text = info.describe(nothing)
    assert "NUMBA_CACHE_DIR" in text
    assert "none of AVX2, FMA" in text


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    assert not info._is_writable(str(tmp_path / "file"))
    assert info._is_writable(str(tmp_path / "new"))


def test_header_of_a_run_names_the_same(known):
    line = info.environment()
    for name, version in known["versions"].items():
        assert f"{name} {version}" in line
    assert f"vectors of {simd.BYTES} bytes" in line
