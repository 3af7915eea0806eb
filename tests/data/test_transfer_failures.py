"""Downloads that fail, and the files that they leave."""

import hashlib
import os
from types import SimpleNamespace

import pytest
from downloading import News
from fetching import BODY, KEPT, MD5, OTHER, fetch, fetch_fails
from http_server import (
    Server,
    bare,
    cut,
    ranged,
    redirect,
    status,
    whole,
)

from odyssey.data import transfer
from odyssey.data.transfer import (
    BrokenOffError,
    Session,
    SourceError,
    WrongContentError,
)


@pytest.fixture
def part(tmp_path):
    return tmp_path / "archive.part"


def test_started_over_only_once(part):
    part.write_bytes(BODY[:KEPT])
    with Server(ranged(OTHER)) as server:
        fetch_fails(WrongContentError, server, part, "sent another file")
        assert server.ranges == [f"bytes={KEPT}-", None]
    assert not part.exists()


def test_started_over_only_once_in_several_answers(part):
    part.write_bytes(BODY[:KEPT])
    with Server(ranged(OTHER), cut(OTHER, 50_000), ranged(OTHER)) as server:
        fetch_fails(WrongContentError, server, part, "sent another file")
        assert server.ranges == [f"bytes={KEPT}-", None, "bytes=50000-"]


def test_wrong_bytes_are_described_and_removed(part):
    found = hashlib.md5(b"Please log in").hexdigest()
    with Server(whole(b"Please log in", Content_Type="text/plain")) as server:
        match = rf"\(text/plain\): expected MD5 {MD5}, got {found} \(13 bytes\)"
        fetch_fails(WrongContentError, server, part, match)
        assert len(server.paths) == 1
    assert not part.exists()


def test_web_pages_are_known_whatever_the_server_calls_them(part):
    page = b"\n<!DOCTYPE HTML><title>Please log in</title>"
    with Server(whole(page, Content_Type="application/gzip")) as server:
        match = r"sent another file \(a web page \(HTML\)\): expected MD5"
        fetch_fails(WrongContentError, server, part, match)


def test_what_a_server_says_is_cut_to_one_printable_line(part):
    def verbose(handler):
        handler.send_response(404, "\x1b[31m" + "x" * 60_000)
        handler.end_headers()

    with Server(verbose) as server:
        fetch_fails(SourceError, server, part, r"^HTTP 404 \\x1b\[31mx+ \.\.\. x{20}$")
    lengthy = whole(OTHER, Content_Type="x" * 60_000)
    with Server(lengthy) as server:
        fetch_fails(WrongContentError, server, part, r"\(x{50,80} \.\.\. x{20}\)")


def test_a_connection_without_an_answer_is_told_in_words(part):
    with Server(lambda handler: None) as server:
        match = "^connection failed: Remote end closed connection without response$"
        fetch_fails(BrokenOffError, server, part, match, retries=0)


def test_a_reason_is_told_once_however_often_it_is_tried(part):
    news = News()
    with Server(status(503), status(503), cut(BODY, KEPT), status(500)) as server:
        match = r"^HTTP 500 Internal Server Error \(5 attempts\)$"
        options = {"retries": 2, "observer": news}
        fetch_fails(BrokenOffError, server, part, match, **options)
    busy, broken = f"{server.url}: HTTP 503 Service Unavailable", "of 100,000 bytes"
    assert news.lines == [
        f"{busy}; trying again in 1 s",
        "trying again in 2 s",
        f"{server.url}: broke off after 40,000 {broken}; trying again in 1 s",
        f"{server.url}: HTTP 500 Internal Server Error; trying again in 2 s",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        whole(BODY, Content_Length=KEPT),  # announced too short
        bare(BODY[:KEPT]),  # cut where nobody can tell
        whole(OTHER),
        whole(b""),
    ],
)
def test_wrong_file_fails(answer, part):
    with Server(answer) as server:
        fetch_fails(WrongContentError, server, part, "sent another file")
    assert not part.exists()


@pytest.mark.parametrize("code", [401, 403, 404, 410, 416, 304])
def test_refusal_is_final(code, part):
    with Server(status(code)) as server:
        fetch_fails(SourceError, server, part, f"HTTP {code}")
        assert len(server.paths) == 1
    assert not part.exists()


def test_waits_grow_up_to_a_limit(part, monkeypatch):
    monkeypatch.setattr(transfer, "MAX_WAIT", 5.0)
    waits = []
    with Server(status(503)) as server:
        options = {"retries": 4, "sleep": waits.append}
        fetch_fails(BrokenOffError, server, part, "HTTP 503", **options)
        assert len(server.paths) == 5
    assert waits == [1.0, 2.0, 4.0, 5.0]


def test_attempts_are_bounded_in_all(part, monkeypatch):
    monkeypatch.setattr(transfer, "MAX_ATTEMPTS", 4)
    pieces = [cut(BODY, stop) for stop in range(10_000, 100_000, 10_000)]
    with Server(*pieces) as server:
        fetch_fails(SourceError, server, part, "broke off 4 times")
        assert len(server.paths) == 4
    assert part.read_bytes() == BODY[:KEPT]


def test_no_progress_ends(part):
    with Server(cut(BODY, KEPT)) as server:
        fetch_fails(BrokenOffError, server, part, "40,000 of 100,000 bytes", retries=2)
        assert len(server.paths) == 3
    assert part.read_bytes() == BODY[:KEPT]


def test_nobody_listens(part):
    with Server() as server:
        pass
    fetch_fails(BrokenOffError, server, part, "connection failed: .*refused", retries=0)


def test_redirects(part):
    with Server(ranged(BODY)) as target, Server(redirect(target.url)) as server:
        fetch(server, part)
    part.unlink()
    with Server(redirect("/again")) as server:
        fetch_fails(SourceError, server, part, "cannot be fetched")
    with Server(redirect("file:///etc/hostname")) as server:
        fetch_fails(SourceError, server, part, "cannot be fetched")


@pytest.mark.parametrize("target", ["http://host/file", "ftp://host/file"])
def test_redirect_from_https_to_less_is_refused(target):
    response = SimpleNamespace(
        url="https://host/file", is_redirect=True, headers={"location": target}
    )
    with pytest.raises(SourceError, match="from https"):
        Session().get_redirect_target(response)
    response.headers["location"] = "/other"
    assert Session().get_redirect_target(response) == "https://host/other"


def test_known_size_is_held_against_the_offer(part):
    part.write_bytes(BODY[:KEPT])
    for answer in (whole(BODY + b"x"), whole(b"tiny"), ranged(BODY + b"x")):
        with Server(answer) as server:
            fetch_fails(SourceError, server, part, "offers", size=len(BODY))
    assert part.read_bytes() == BODY[:KEPT]


def test_endless_answer_is_left(part):
    def endless(handler):
        bare(OTHER)(handler)
        while True:
            handler.wfile.write(OTHER)

    with Server(endless) as server:
        fetch_fails(WrongContentError, server, part, "sent another", size=len(BODY))


def test_log_in_page_does_not_cost_the_part(part):
    part.write_bytes(BODY[:KEPT])
    with Server(whole(b"<html>", Content_Type="text/html; charset=utf-8")) as server:
        fetch_fails(SourceError, server, part, "web page")
    assert part.read_bytes() == BODY[:KEPT]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk_is_not_taken_for_the_network(part):
    part.symlink_to("/dev/full")
    with Server(whole(BODY)) as server:
        with pytest.raises(OSError, match="No space") as caught:
            fetch(server, part)
        assert len(server.paths) == 1
    assert caught.value.filename == str(part)
