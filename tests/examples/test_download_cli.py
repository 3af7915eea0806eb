"""download_cifar10.py as a program: its options, its messages, its exit statuses."""

import gzip
import hashlib
import os
import pty
import re
import signal
import subprocess
import sys
import tarfile
import time

import pytest
from http_server import Server, cut, hang, ranged, status, whole
from programs import EXAMPLE, ROOT, run_apart, run_here
from tiny_cifar import write_tiny_cifar
from tiny_cifar100 import write_tiny_cifar100

FOLDER = "cifar-10-batches-py"


@pytest.fixture
def archive(tmp_path):
    write_tiny_cifar(tmp_path / "source", records=20)
    path = tmp_path / "archive.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(tmp_path / "source" / FOLDER, FOLDER)
    return path


@pytest.fixture
def packed(archive):
    return archive.read_bytes()


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


def md5_of(content):
    return hashlib.md5(content).hexdigest()


def run(data_dir, *arguments):
    return run_here("download_cifar10", "--data-dir", data_dir, *arguments)


def command(data_dir, server, content, *arguments):
    program = [sys.executable, EXAMPLE / "download_cifar10.py", "--data-dir", data_dir]
    options = ["--url", server.url, "--md5", md5_of(content)]
    return [str(word) for word in [*program, *options, *arguments]]


def test_download_in_plain_lines(packed, data_dir):
    with Server(cut(packed, 50_000), ranged(packed)) as server:
        result = run(data_dir, "--url", server.url, "--md5", md5_of(packed))
        assert server.ranges[1] == "bytes=50000-"
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == f"downloading {server.url}"
    assert re.fullmatch(r"0\.\d MiB", lines[1])
    assert "trying again in 1 s" in result.output
    assert ", going on from 0.0 MiB" in result.output
    assert re.search(r"MiB/s, \d+%, ETA 0:00:0\d", result.output)
    assert lines[-3:] == [
        f"{data_dir}: 100 training and 20 test images",
        "next:",
        f"  python examples/resnet18_cifar10/train.py --data-dir {data_dir}",
    ]
    assert os.listdir(data_dir) == [FOLDER]


def test_cifar100_goes_into_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiny_cifar100(tmp_path / "source", names=map(str, range(100)))
    with tarfile.open("archive.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(tmp_path / "source" / "cifar-100-python", "cifar-100-python")
    words = ["--dataset", "cifar100", "--from-file", "archive.tar.gz"]
    refused = run_here("download_cifar10", *words)
    assert refused.exit_code == 2
    known = "expected MD5 eb9058c3a382ffc7106e4002c42a8d85 (169,001,437 bytes), got "
    assert f"Error: archive.tar.gz: {known}" in refused.output
    md5 = md5_of((tmp_path / "archive.tar.gz").read_bytes())
    result = run_here("download_cifar10", *words, "--md5", md5)
    assert result.exit_code == 0, result.output
    usual = os.path.join("datasets", "cifar100")
    assert result.output.splitlines() == [
        "unpacking archive.tar.gz",
        f"{usual}: 100 training and 20 test images",
        "next:",
        "  python -m odyssey example resnet18_cifar10",  # it is not below this folder
    ]
    assert os.listdir(usual) == ["cifar-100-python"]


def test_no_progress(packed, data_dir):
    with Server(ranged(packed)) as server:
        options = ["--url", server.url, "--md5", md5_of(packed), "--no-progress"]
        result = run(data_dir, *options)
    assert result.exit_code == 0
    assert "ETA" not in result.output


def test_bar_on_a_terminal(packed, data_dir):
    main, terminal = pty.openpty()
    with Server(ranged(packed)) as server:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            command(data_dir, server, packed),
            stdout=subprocess.PIPE,
            stderr=terminal,
            env=environment,
        )
        news = process.communicate(timeout=60)[0]
    os.close(terminal)  # reading past the last byte is then an error, not a wait
    drawn = os.read(main, 10_000)
    os.close(main)
    assert process.returncode == 0
    assert b"B/s" in drawn
    assert b"ETA" not in news


def test_from_file_and_again(archive, packed, data_dir):
    options = ["--from-file", archive, "--md5", md5_of(packed).upper()]
    assert run(data_dir, *options).exit_code == 0
    result = run(data_dir, *options)
    assert result.exit_code == 0
    assert "already there" in result.output
    assert run(data_dir, *options, "--force").exit_code == 0


def test_from_file_counts_even_if_the_data_is_there(archive, packed, data_dir):
    assert run(data_dir, "--from-file", archive, "--md5", md5_of(packed)).exit_code == 0
    result = run(data_dir, "--from-file", archive, "--md5", "0" * 32)
    assert result.exit_code == 2
    assert f"Error: {archive}: expected MD5 {'0' * 32}, got" in result.output
    assert "already there" not in result.output
    missing = run(data_dir, "--from-file", data_dir / "no", "--md5", md5_of(packed))
    assert missing.exit_code == 2
    assert os.listdir(data_dir) == [FOLDER]


def test_from_file_with_the_wrong_sum(archive, data_dir):
    result = run(data_dir, "--from-file", archive)
    assert result.exit_code == 2
    message = r"Error: .*archive.tar.gz: expected MD5 c58f30108f718f92721af3b95e74349a "
    assert re.search(message + r"\(170,498,071 bytes\), got \w{32} \(", result.output)
    assert "Traceback" not in result.output
    assert not data_dir.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--md5", "c58f"],
        ["--md5", "g" * 32],
        ["--url", "ftp://127.0.0.1/x"],
        ["--url", "file:///etc/passwd"],
        ["--url", "archive.tar.gz"],
        ["--url", "http://[::1/x"],
        ["--timeout", "nan"],
        ["--timeout", "inf"],
        ["--timeout", "0"],
        ["--retries", "-1"],
        ["--retries", "1.5"],
        ["--from-file", "/no/such/file"],
        ["--from-file", "/"],
        ["--data-dir", __file__],
        ["--nonsense"],
    ],
)
def test_wrong_options(wrong, data_dir):
    result = run(data_dir, *wrong)
    assert result.exit_code == 2
    assert wrong[0] in result.output
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (status(404), 1),
        (status(503), 1),
        (lambda handler: None, 1),  # hangs up without a word
        (whole(b"<html>", Content_Type="text/html"), 2),
    ],
)
def test_failed_downloads(answer, exit_code, packed, data_dir):
    with Server(answer) as server:
        options = ["--url", server.url, "--md5", md5_of(packed), "--retries", 0]
        result = run(data_dir, *options)
    assert result.exit_code == exit_code
    reason, error = result.stderr.splitlines()
    assert reason.startswith(f"{server.url}: ")
    assert error.startswith("Error: no source has given the archive. If you can get")
    assert os.listdir(data_dir) == []


def test_a_failure_is_printed_once(packed, data_dir, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with Server(status(404)) as first, Server(status(503)) as second:
        options = ["--url", first.url, "--url", second.url, "--retries", 2]
        result = run(data_dir, *options, "--md5", md5_of(packed))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[:-1] == [
        f"{first.url}: HTTP 404 Not Found",
        f"{second.url}: HTTP 503 Service Unavailable; trying again in 1 s",
        "trying again in 2 s",
        "given up after 3 attempts",
    ]
    assert result.stdout.count("HTTP") == 0


def test_silent_server(packed, data_dir):
    with Server(hang(packed, 0)) as server:
        options = ["--url", server.url, "--md5", md5_of(packed), "--retries", 0]
        result = run(data_dir, *options, "--timeout", 0.2)
    assert result.exit_code == 1
    assert "timed out" in result.output


def test_debug_shows_where(archive, data_dir):
    result = run_apart(
        "download_cifar10", "--data-dir", data_dir, "--from-file", archive, "--debug"
    )
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert "Error: " in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"<!DOCTYPE html>\n<title>Log in</title>",
            "a web page (HTML) (expected MD5 c5",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17\n",
            "a pointer of Git LFS, not the file itself; git lfs pull fetches that (exp",
        ),
    ],
)
def test_other_files_in_place_of_the_archive(content, said, archive, data_dir):
    archive.write_bytes(content)
    result = run(data_dir, "--from-file", archive)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {archive}: {said}")
    assert len(result.stderr.splitlines()) == 1


def test_an_archive_that_a_browser_has_unzipped(archive, packed, data_dir):
    tar = archive.with_suffix("")
    tar.write_bytes(gzip.decompress(packed))
    result = run(data_dir, "--from-file", tar, "--md5", md5_of(tar.read_bytes()))
    assert result.exit_code == 0, result.output
    assert os.listdir(data_dir) == [FOLDER]
    result = run(data_dir, "--from-file", tar)
    assert result.exit_code == 2
    assert (
        f"Error: {tar}: a tar archive that is not compressed, as Safari leaves it; "
        "tar -xf FILE -C FOLDER unpacks it (expected MD5 c58f"
    ) in result.stderr


def test_data_folder_that_cannot_be_made(archive, packed):
    options = ["--from-file", archive, "--md5", md5_of(packed)]
    result = run("/dev/null/data", *options)
    assert result.exit_code == 1
    assert "Error: /dev/null" in result.output


@pytest.mark.parametrize(
    ("signum", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_signals_keep_the_part(signum, exit_code, packed, data_dir):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Server(hang(packed, 100_000), ranged(packed)) as server:
        words = command(data_dir, server, packed)
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )
        part = data_dir / f"{md5_of(packed)}.tar.gz.part"
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signum)
        output = process.communicate(timeout=60)[0].decode()
        assert process.returncode == exit_code, output
        assert "Traceback" not in output
        kept = re.search(r"([\d,]+) bytes are kept in .*\.part; run again", output)
        assert list(data_dir.iterdir()) == [part]
        assert part.stat().st_size == int(kept[1].replace(",", ""))
        result = run(data_dir, *words[4:])
        assert result.exit_code == 0
        assert server.ranges[1].startswith("bytes=")
    assert os.listdir(data_dir) == [FOLDER]


def test_full_disk(packed, data_dir):
    resource = pytest.importorskip("resource")

    def limit():  # of a file's size: as good as a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    with Server(ranged(packed)) as server:
        result = subprocess.run(
            command(data_dir, server, packed),
            capture_output=True,
            text=True,
            preexec_fn=limit,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    assert result.returncode == 1, result.stderr
    assert re.fullmatch(r"Error: .*\.part: File too large\n", result.stderr)
    assert not (data_dir / FOLDER).exists()
