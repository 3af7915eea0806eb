"""CIFAR-10 from several sources, one after the other, or from a file."""

import re

import pytest
from archives import FOLDER, listing, md5_of, plain, tar_gz, tiny_files
from downloading import News, get, present
from http_server import Server, cut, hang, ranged, status, whole

from odyssey.data import download
from odyssey.data.dataset import DataError
from odyssey.data.download import DownloadError


@pytest.fixture
def files(tmp_path):
    return tiny_files(tmp_path / "source", records=4)


@pytest.fixture
def packed(files):
    return tar_gz(files)


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "new" / "data"


def test_the_published_archive_is_the_default():
    archive = download.ARCHIVES["cifar10"]
    assert archive.md5 == "c58f30108f718f92721af3b95e74349a"
    assert archive.urls[0].startswith("https://www.cs.toronto.edu/~kriz/")
    for url in archive.urls:
        assert url.startswith("https://")
        assert url.endswith(archive.name)


def test_download_leaves_the_data_alone(packed, files, data_dir):
    with Server(ranged(packed)) as server:
        get(data_dir, packed, server, md5=md5_of(packed).upper())
    assert present(data_dir) == [FOLDER]
    assert {k: v for k, v in listing(data_dir).items() if v} == files


def test_sources_in_turn(packed, data_dir):
    page = whole(b"<html>", Content_Type="text/html")
    with (
        Server(status(404)) as gone,
        Server(status(503)) as busy,
        Server(page) as portal,
        Server(cut(packed, 99)) as lame,
        Server(ranged(packed)) as good,
    ):
        lines = get(data_dir, packed, gone, busy, portal, lame, good)
        assert [len(s.paths) for s in (gone, busy, portal)] == [1, 4, 1]
        assert good.ranges == ["bytes=99-"]
    assert f"{gone.url}: HTTP 404 Not Found" in lines
    first = f"{busy.url}: HTTP 503 Service Unavailable; trying again in 1 s"
    rest = ["trying again in 2 s", "trying again in 4 s", "given up after 4 attempts"]
    start = lines.index(first)
    assert lines[start : start + 4] == [first, *rest]
    # as a word: a port can begin with it
    assert sum(bool(re.search(r"\b503\b", line)) for line in lines) == 1
    assert present(data_dir) == [FOLDER]


def test_part_of_a_bad_source_does_not_spoil_the_next(packed, data_dir):
    with Server(cut(bytes(5000), 99)) as bad, Server(ranged(packed)) as good:
        get(data_dir, packed, bad, good, retries=0)
        assert good.ranges == ["bytes=99-", None]


def test_every_source_is_named_with_its_reason(packed, data_dir):
    with Server(status(404)) as first, Server(status(500)) as second:
        with pytest.raises(DownloadError) as caught:
            get(data_dir, packed, first, second)
    assert f"{first.url}: HTTP 404 Not Found\n" in str(caught.value)
    reason = "HTTP 500 Internal Server Error (4 attempts)"
    assert str(caught.value).endswith(f"{second.url}: {reason}")
    assert present(data_dir) == []


def test_wrong_bytes_are_damaged_data(packed, data_dir):
    with Server(whole(packed[:-1] + b"x")) as server:
        with pytest.raises(DataError, match=f"expected MD5 {md5_of(packed)}, got"):
            get(data_dir, packed, server)
    assert present(data_dir) == []


def test_what_has_arrived_is_kept_and_said(packed, data_dir):
    news = News()
    part = data_dir / f"{md5_of(packed)}.tar.gz.part"
    with Server(cut(packed, 5000)) as server, pytest.raises(DownloadError):
        get(data_dir, packed, server, observer=news)
    assert news.lines[-1] == f"5,000 bytes are kept in {part}; run again to continue"
    assert part.read_bytes() == packed[:5000]
    with Server(ranged(packed)) as server:
        get(data_dir, packed, server)
        assert server.ranges == ["bytes=5000-"]
    assert present(data_dir) == [FOLDER]


def test_ctrl_c_keeps_the_part(packed, data_dir):
    class Stop(News):
        def advance(self, count):
            raise KeyboardInterrupt

    with Server(hang(packed, 20_000)) as server, pytest.raises(KeyboardInterrupt):
        get(data_dir, packed, server, observer=Stop())
    assert present(data_dir) == [f"{md5_of(packed)}.tar.gz.part"]


def test_parts_belong_to_their_archive(packed, files, data_dir):
    other = tar_gz(files, plain("more"))
    with Server(cut(other, 5000)) as server, pytest.raises(DownloadError):
        get(data_dir, other, server)
    with Server(ranged(packed)) as server:
        get(data_dir, packed, server)
        assert server.ranges == [None]


def test_complete_part_needs_no_network(packed, data_dir):
    data_dir.mkdir(parents=True)
    (data_dir / f"{md5_of(packed)}.tar.gz.part").write_bytes(packed)
    with Server(status(404)) as server:
        get(data_dir, packed, server)
        assert server.paths == []
    assert present(data_dir) == [FOLDER]


def test_archive_with_the_right_sum_but_bad_content_goes(files, data_dir):
    files[f"{FOLDER}/test_batch"] = b"nonsense"
    packed = tar_gz(files)
    with Server(ranged(packed)) as server, pytest.raises(DataError, match="test_batch"):
        get(data_dir, packed, server)
    assert present(data_dir) == []


def test_from_file(packed, data_dir, tmp_path):
    archive = tmp_path / "mine.tar.gz"
    archive.write_bytes(packed)
    with pytest.raises(DataError, match=r"mine.tar.gz: expected MD5 c58f\w+ \(170,"):
        get(data_dir, packed, from_file=archive, md5=download.ARCHIVES["cifar10"].md5)
    get(data_dir, packed, from_file=archive)
    assert present(data_dir) == [FOLDER]
    assert archive.read_bytes() == packed
