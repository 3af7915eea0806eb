"""Download a file: resume, try again, and check its MD5 sum.

The bytes that arrive are written to a part file.  The next request asks for the rest,

    Range: bytes=40-        the part has 40 bytes

and the status of the answer decides what to do:

    206, Content-Range: bytes 40-99/100    append
    200                                    the server ignores ranges: start over
    416, 206 with another range            nothing to append: the MD5 sum is right,
                                           or the part is deleted, once

A part may come from an earlier run or another server.  So if a part made of several
answers has the wrong sum, the file is downloaded once more as a whole.  RFC 9110,
section 14, https://www.rfc-editor.org/rfc/rfc9110#section-14
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from odyssey.data.archive import md5_of_file, mismatch
from odyssey.data.file_kinds import GZIP, kind_of_file
from odyssey.data.observer import Observer
from odyssey.errors import one_line

CHUNK_BYTES = 2**14  # a time-out loses at most this
MAX_BYTES = 2**30  # of a file whose size is not known
MAX_ATTEMPTS = 100  # for one address, even if each brings some bytes
MAX_WAIT = 30.0  # seconds between two attempts
CONNECT_TIMEOUT = 10.0  # seconds


class SourceError(Exception):
    """An address does not give the file; the message says why."""

    attempts = 0  #: number of attempts, if the observer was told the reason


class BrokenOffError(SourceError):
    """The file did not arrive whole; another attempt may bring the rest."""


class WrongContentError(SourceError):
    """A whole file arrived, but not the one that was asked for."""


class Session(requests.Session):
    """A session that refuses a redirect from https to another scheme."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a response redirects to, None if it does not."""
        target = super().get_redirect_target(resp)
        if target is not None and urlsplit(resp.url).scheme == "https":
            target = urljoin(resp.url, target)
            if urlsplit(target).scheme != "https":
                raise SourceError(
                    f"redirects from https to {one_line(target, 200)}: refused"
                )
        return target


def fetch(
    url: str,
    part: Path,
    md5: str,
    *,
    session: requests.Session,
    size: int | None = None,
    timeout: float = 60.0,
    retries: int = 3,
    observer: Observer | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Complete ``part`` with the bytes from ``url`` until its MD5 sum is right.

    Parameters
    ----------
    url : str
        http or https.
    part : Path
        The file to fill; bytes that it holds already are not requested again.
    md5 : str
        The sum that the file must have, 32 lower-case hex digits.
    session : requests.Session
    size : int or None
        Bytes of the whole file, if known.
    timeout : float
        Seconds without a byte after which a connection counts as broken.
    retries : int
        Further attempts after a broken connection, status 429 or 5xx; the count starts
        again whenever an attempt has brought bytes.
    observer : Observer or None
    sleep : callable
        Waits for a number of seconds.

    Raises
    ------
    SourceError
        If ``url`` does not give the file.  The part is kept for the next attempt,
        except after a `WrongContentError`.
    OSError
        If the part cannot be written.
    """
    observer = observer or Observer()
    most, failures, started_over = _size(part), 0, False
    told = ""  # the last reason that the observer was told
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            start, kind = _transfer(session, url, part, size, timeout, observer)
        except BrokenOffError as error:
            if md5_of_file(part) == md5:  # only the announced length was wrong
                return
            if _size(part) > most:
                most, failures = _size(part), 0
            failures += 1
            known, told = str(error) == told, str(error)
            if failures > retries:
                if attempt == 1:
                    raise
                final = BrokenOffError(f"{error} ({attempt} attempts)")
                final.attempts = attempt if known else 0
                raise final from error
            wait = min(2.0 ** (failures - 1), MAX_WAIT)
            reason = "" if known else f"{url}: {error}; "
            observer.fail(f"{reason}trying again in {wait:.0f} s")
            sleep(wait)
            continue
        found = md5_of_file(part)
        if found == md5:
            return
        received, kind = _size(part), _named_kind(part, kind)
        part.unlink(missing_ok=True)
        if start == 0 or started_over:
            raise WrongContentError(
                f"sent another file ({kind}): {mismatch(md5, size, found, received)}"
            )
        observer.say("the parts do not make up the file; starting over")
        most, started_over = 0, True
    raise SourceError(f"broke off {MAX_ATTEMPTS} times")


def _transfer(
    session: requests.Session,
    url: str,
    part: Path,
    size: int | None,
    timeout: float,
    observer: Observer,
) -> tuple[int, str]:
    """Request the missing bytes of ``part`` once; return the result of `_receive`."""
    offset = _size(part)
    headers = {"Accept-Encoding": "identity"}  # ranges and MD5 refer to the file itself
    if offset:
        headers["Range"] = f"bytes={offset}-"
    timeouts = (min(timeout, CONNECT_TIMEOUT), timeout)
    try:
        with session.get(
            url, headers=headers, stream=True, timeout=timeouts
        ) as response:
            return _receive(response, part, offset, size, observer)
    except requests.exceptions.SSLError as error:
        raise SourceError(f"no secure connection: {_cause(error)}") from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise BrokenOffError("timed out") from error
    except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
        raise BrokenOffError(f"connection failed: {_cause(error)}") from error
    except (requests.RequestException, ValueError) as error:
        raise SourceError(f"cannot be fetched: {_cause(error)}") from error
    except OSError as error:  # of the disk; errors of the network are caught above
        error.filename = error.filename or os.fspath(part)
        raise


def _receive(
    response: requests.Response,
    part: Path,
    offset: int,
    size: int | None,
    observer: Observer,
) -> tuple[int, str]:
    """Write the body of a response to the part.

    Returns
    -------
    start : int
        Position in the part where the body begins: 0 if the body is the whole part.
    kind : str
        The content type, for messages.
    """
    status, headers = response.status_code, response.headers
    kind = one_line(headers.get("Content-Type", "no content type"), 80)
    answer = f"HTTP {status} {one_line(response.reason or '', 80)}".rstrip()
    if status == 429 or status >= 500:
        raise BrokenOffError(answer)
    if status not in (200, 206) and not (status == 416 and offset):
        raise SourceError(answer)
    start, end = _extent(response, offset)
    if start is None:
        return offset, kind
    if end is not None and (end != size if size else end > MAX_BYTES):
        limit = f"{size:,}" if size else f"at most {MAX_BYTES:,}"
        raise SourceError(f"offers {end:,} bytes ({kind}), the file has {limit}")
    if offset and start == 0 and "text/html" in kind:
        raise SourceError("answers with a web page: is there a log-in to this network?")
    position, broken = start, False
    with open(part, "ab" if start else "wb") as file:
        observer.begin(start, end)
        try:
            # Undecoded: some servers call a .tar.gz a tar with Content-Encoding gzip.
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                position += len(chunk)
                observer.advance(len(chunk))
                if position > (size or MAX_BYTES):  # the MD5 sum will be wrong
                    return start, kind
        except urllib3.exceptions.ProtocolError:
            broken = True
        finally:
            observer.end()
    if broken or (end is not None and position < end):
        of = f"of {end:,} " if end else ""
        raise BrokenOffError(f"broke off after {position:,} {of}bytes")
    return start, kind


def _extent(response: requests.Response, offset: int) -> tuple[int | None, int | None]:
    """Return where the body begins and where the file ends, None if not known.

    The beginning is None if the body does not continue at ``offset``.
    """
    headers = response.headers
    if response.status_code == 200:
        length = headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    found = re.fullmatch(
        r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("Content-Range", "").strip()
    )
    if not found or int(found[1]) != offset:
        return None, None
    return offset, int(found[2]) + 1 if found[3] == "*" else int(found[3])


def _named_kind(part: Path, content_type: str) -> str:
    """Return the kind of the file that arrived, by its first bytes if possible."""
    kind = kind_of_file(part)
    return content_type if kind in ("", GZIP) else kind


def _size(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def _cause(error: BaseException) -> str:
    """Return the innermost reason of an error of requests, as one line."""
    while True:
        reasons = [getattr(error, "reason", None), *error.args[:2]]
        inner = next((e for e in reasons if isinstance(e, BaseException)), None)
        if inner is None:
            return one_line(str(error).split("): ", 1)[-1], 200)
        error = inner
