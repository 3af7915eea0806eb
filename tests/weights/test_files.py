"""Writing files in folders with several writers and their leftovers."""

import errno
import os
import threading

import pytest

from odyssey.weights import files
from odyssey.weights.files import (
    atomic_write_bytes,
    atomic_write_chunks,
    directory_lock,
    make_directory,
    temporary_directory,
)


def test_leftover_of_a_process_with_our_number_is_not_in_the_way(tmp_path):
    leftover = tmp_path / f".tmp-x-{os.getpid()}"
    leftover.write_bytes(b"half")
    atomic_write_bytes(tmp_path / "x", b"whole")
    with temporary_directory(tmp_path, "x"):
        pass
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert leftover.read_bytes() == b"half"


def test_what_another_writer_made_is_not_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_temporary_name", lambda stem: f".tmp-{stem}")
    (tmp_path / ".tmp-x").write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        atomic_write_bytes(tmp_path / "x", b"ours")
    assert (tmp_path / ".tmp-x").read_bytes() == b"theirs"
    (tmp_path / ".tmp-y").mkdir()
    with pytest.raises(FileExistsError), temporary_directory(tmp_path, "y"):
        pass
    assert (tmp_path / ".tmp-y").is_dir()


def test_threads_that_write_the_same_file(tmp_path):
    start, errors = threading.Barrier(3), []

    def write(content):
        start.wait()
        try:
            for _ in range(50):
                atomic_write_bytes(tmp_path / "x", content)
        except OSError as error:
            errors.append(error)

    contents = [bytes([i]) * 50_000 for i in range(3)]
    threads = [threading.Thread(target=write, args=[c]) for c in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (tmp_path / "x").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_chunks_that_end_in_an_error_leave_the_old_file(tmp_path):
    (tmp_path / "x").write_bytes(b"old")

    def chunks():
        yield b"new"
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        atomic_write_chunks(tmp_path / "x", chunks())
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_name_of_the_longest_kind(tmp_path):
    name = "漢" * 80  # 240 bytes of at most 255
    atomic_write_bytes(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


NO_LOCKS = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP]


@pytest.mark.parametrize("code", NO_LOCKS)
def test_file_system_without_locks_is_said_once(tmp_path, monkeypatch, code):
    monkeypatch.setattr(files, "_without_locks", set())
    monkeypatch.setattr(files.fcntl, "flock", refusing(code))
    with pytest.warns(UserWarning) as said:
        for _ in range(3):
            with directory_lock(tmp_path) as held:
                assert held  # it goes on
    assert [str(w.message) for w in said] == [
        f"{tmp_path}: the file system has no locks ({os.strerror(code)}): see that no "
        "two programs write there at once"
    ]
    with directory_lock(tmp_path, wait=False) as held:
        assert not held


def refusing(code):
    def refuse(*args):
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.mark.parametrize("below", ["", "run/checkpoints"])
def test_directory_where_a_link_leads_nowhere(tmp_path, below):
    link = tmp_path / "link"
    link.symlink_to("unplugged")
    with pytest.raises(FileExistsError) as caught:
        make_directory(link / below)
    assert caught.value.filename == str(link)
    assert caught.value.strerror == "a link to unplugged, which does not exist"
    (tmp_path / "unplugged").mkdir()
    make_directory(link / below)
    assert (tmp_path / "unplugged" / below).is_dir()


def test_directory_where_a_file_is(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    for place in ("file", "link"):
        with pytest.raises(FileExistsError, match="a file where a folder belongs"):
            make_directory(tmp_path / place)
