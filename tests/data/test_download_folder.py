"""Downloads into a folder that already holds something."""

import errno
import os
import shutil
import threading

import pytest
from archives import FOLDER, listing, md5_of, tar_gz, tiny_files
from downloading import News, get, present
from http_server import Server, ranged, status, whole

from odyssey.data import download
from odyssey.data.cifar10 import load_cifar10
from odyssey.data.dataset import DataError
from odyssey.weights.files import directory_lock


@pytest.fixture
def files(tmp_path):
    return tiny_files(tmp_path / "source", records=4)


@pytest.fixture
def packed(files):
    return tar_gz(files)


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "new" / "data"


def test_data_that_is_there_is_left_alone(packed, tmp_path):
    data_dir = tmp_path / "source"
    (data_dir / FOLDER / "batches.meta").unlink()  # not needed
    before = listing(data_dir)
    with Server(ranged(packed)) as server:
        assert get(data_dir, packed, server) == [f"{data_dir}: already there"]
        assert server.paths == []
    assert listing(data_dir) == before


def test_force_replaces_it(packed, files, tmp_path):
    data_dir = tmp_path / "other"
    tiny_files(data_dir, records=3)
    with Server(ranged(packed)) as server:
        get(data_dir, packed, server, force=True)
    assert {k: v for k, v in listing(data_dir).items() if v} == files


def test_replaced_data_that_cannot_be_deleted_stays(
    packed, files, tmp_path, monkeypatch
):
    data_dir, real = tmp_path / "other", os.unlink
    tiny_files(data_dir, records=3)
    (data_dir / FOLDER / ".nfs0001").touch()  # NFS: somebody has it open

    def unlink(path, *args, **kwargs):
        if os.path.basename(path) == ".nfs0001":
            raise OSError(errno.EBUSY, "Device or resource busy", path)
        real(path, *args, **kwargs)

    with Server(ranged(packed)) as server, monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        with pytest.warns(UserWarning, match=r"nfs0001: cannot be cleared away"):
            get(data_dir, packed, server, force=True)
        get(data_dir, packed, server, force=True)
    (left,) = data_dir.glob(".tmp-*")
    assert [path.name for path in left.rglob("*")] == [".nfs0001"]
    with Server(ranged(packed)) as server:
        get(data_dir, packed, server, force=True)
    assert {k: v for k, v in listing(data_dir).items() if v} == files


def test_incomplete_data_stays_until_there_is_better(packed, files, tmp_path):
    data_dir = tmp_path / "source"
    (data_dir / FOLDER / "data_batch_3").unlink()
    before = listing(data_dir)
    with Server(whole(b"wrong")) as server, pytest.raises(DataError):
        get(data_dir, packed, server)
    assert listing(data_dir) == before
    with Server(ranged(packed)) as server:
        get(data_dir, packed, server)
    assert {k: v for k, v in listing(data_dir).items() if v} == files


def test_kept_archive_is_used_again_and_a_wrong_one_is_not(packed, data_dir):
    kept = data_dir / f"{md5_of(packed)}.tar.gz"
    with Server(ranged(packed)) as server:
        get(data_dir, packed, server, keep_archive=True)
        assert kept.read_bytes() == packed
        shutil.rmtree(data_dir / FOLDER)
        get(data_dir, packed, server)
        assert len(server.paths) == 1
        assert present(data_dir) == sorted([kept.name, FOLDER])
        kept.write_bytes(b"damaged")
        get(data_dir, packed, server, force=True, keep_archive=True)
        assert kept.read_bytes() == packed


def test_two_downloads_take_turns(packed, data_dir):
    data_dir.mkdir(parents=True)
    waiting = threading.Event()

    class Impatient(News):
        def say(self, message):
            super().say(message)
            waiting.set()

    news = Impatient()
    with Server(ranged(packed)) as server:
        second = threading.Thread(
            target=get, args=(data_dir, packed, server), kwargs={"observer": news}
        )
        with directory_lock(data_dir):
            second.start()
            assert waiting.wait(10)
            assert server.paths == []
            tiny_files(data_dir, records=4)  # as the first download would
        second.join(10)
        assert server.paths == []
    assert "waiting for another download" in news.lines[0]
    assert "already there" in news.lines[-1]


def test_a_killed_swap_is_undone(packed, tmp_path):
    data_dir = tmp_path / "source"
    (data_dir / FOLDER).rename(data_dir / f".old-{FOLDER}")
    (data_dir / ".tmp-cifar-10-1").mkdir()
    with Server(status(404)) as server:
        get(data_dir, packed, server)
        assert server.paths == []
    assert present(data_dir) == [FOLDER]
    assert len(load_cifar10(data_dir).train_labels) == 20


def test_a_swap_that_fails_is_undone(packed, tmp_path, monkeypatch):
    data_dir = tmp_path / "other"
    tiny_files(data_dir, records=3)
    before = listing(data_dir)
    rename = download.os.rename

    def failing(source, target):
        if ".tmp-" in str(source):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr("os.rename", failing)
    with Server(ranged(packed)) as server, pytest.raises(OSError, match="No space"):
        get(data_dir, packed, server, force=True)
    part = f"{md5_of(packed)}.tar.gz.part"
    assert (data_dir / part).read_bytes() == packed  # for the next run
    (data_dir / part).unlink()
    assert listing(data_dir) == before
