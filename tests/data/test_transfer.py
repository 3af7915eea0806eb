"""Downloads that succeed in spite of failures on the way."""

import pytest
from fetching import BODY, KEPT, OTHER, fetch
from http_server import Server, bare, chunked, cut, hang, ranged, status, whole

from odyssey.data import transfer
from odyssey.data.observer import Observer


@pytest.fixture
def part(tmp_path):
    return tmp_path / "archive.part"


@pytest.mark.parametrize(
    "answer",
    [
        whole(BODY),
        bare(BODY),
        chunked(BODY),
        chunked(BODY, Content_Length=7),  # which does not count then
        ranged(BODY),
        whole(BODY, Content_Encoding="gzip"),  # said of a .tar.gz by some servers
        whole(BODY, Content_Type="text/html"),
        whole(BODY, Content_Length=len(BODY) + 7),  # a lie that harms nobody
        whole(BODY, Content_Length="many"),
    ],
)
def test_whole_file(answer, part):
    with Server(answer) as server:
        assert fetch(server, part) == []
        assert server.ranges == [None]


def test_broken_download_goes_on(part):
    with Server(cut(BODY, KEPT), cut(BODY, 70_000), ranged(BODY)) as server:
        assert fetch(server, part) == [1.0, 1.0]
        assert server.ranges == [None, f"bytes={KEPT}-", "bytes=70000-"]


def test_part_of_an_earlier_run_goes_on(part):
    part.write_bytes(BODY[:KEPT])
    with Server(ranged(BODY)) as server:
        fetch(server, part)
        assert server.ranges == [f"bytes={KEPT}-"]


def test_cut_chunks_are_noticed(part):
    with Server(chunked(BODY[:KEPT], end=b""), ranged(BODY)) as server:
        assert fetch(server, part) == [1.0]
        assert server.ranges == [None, f"bytes={KEPT}-"]


def test_whole_answer_to_a_range_is_not_appended(part):
    with Server(cut(BODY, KEPT), whole(BODY)) as server:
        fetch(server, part)
        assert len(server.ranges) == 2


@pytest.mark.parametrize(
    "answer",
    [
        ranged(BODY, shift=1),
        ranged(BODY, shift=-1),
        lambda handler: status(206)(handler),
        lambda handler: status(206, Content_Range="bytes 1-2")(handler),
    ],
)
def test_another_range_is_not_appended(answer, part):
    part.write_bytes(BODY[:KEPT])
    with Server(answer, ranged(BODY)) as server:
        fetch(server, part)
        assert server.ranges == [f"bytes={KEPT}-", None]


def test_complete_part_answered_416(part):
    part.write_bytes(BODY)
    with Server(ranged(BODY)) as server:
        fetch(server, part)
        assert server.ranges == [f"bytes={len(BODY)}-"]


@pytest.mark.parametrize("content", [BODY + b"more", OTHER[:KEPT], BODY[:9] + b"x"])
def test_part_that_is_not_of_this_file_is_fetched_anew(content, part):
    part.write_bytes(content)
    with Server(ranged(BODY)) as server:
        fetch(server, part)
        assert server.ranges == [f"bytes={len(content)}-", None]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_busy_server_is_asked_again(code, part):
    with Server(status(code), status(code), whole(BODY)) as server:
        assert fetch(server, part) == [1.0, 2.0]


def test_retries_count_anew_after_progress(part):
    pieces = [cut(BODY, stop) for stop in range(10_000, 100_000, 10_000)]
    with Server(*pieces, ranged(BODY)) as server:
        assert fetch(server, part, retries=1) == [1.0] * 9


def test_silent_server_times_out_and_goes_on(part):
    with Server(hang(BODY, 0), hang(BODY, KEPT), ranged(BODY)) as server:
        assert fetch(server, part, timeout=0.2) == [1.0, 1.0]
        start = int(server.ranges[2][6:-1])  # a block on its way may be lost
        assert KEPT - transfer.CHUNK_BYTES <= start <= KEPT


def test_observer_hears_of_every_byte(part):
    class Counter(Observer):
        def __init__(self):
            self.calls = []

        def begin(self, done, total):
            self.calls.append([done, total, 0])

        def advance(self, count):
            self.calls[-1][2] += count

    counter = Counter()
    with Server(cut(BODY, KEPT), ranged(BODY)) as server:
        fetch(server, part, observer=counter)
    rest = len(BODY) - KEPT
    assert counter.calls == [[0, len(BODY), KEPT], [KEPT, len(BODY), rest]]


def test_ranges_shorter_than_asked_for(part):
    part.write_bytes(BODY[:10])
    with Server(ranged(BODY, most=KEPT)) as server:
        assert fetch(server, part, retries=1) == [1.0, 1.0]
        assert server.ranges == [f"bytes={10 + i * KEPT}-" for i in range(3)]
