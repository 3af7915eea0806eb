"""A web server on the loopback address that misbehaves as it is told.

    with Server(cut(body, 100), ranged(body)) as server:
        ...  # the first request gets 100 bytes, the second and all others what they ask

An answer is a function of the request's handler.  ``server.ranges`` lists what each
request asked for, None for the whole file.
"""

import http.server
import os
import re
import threading


class Server:
    def __init__(self, *answers):
        os.environ["no_proxy"] = "127.0.0.1"  # for whom a proxy has no answer
        self.answers, self.paths, self.ranges = answers, [], []
        self.released = threading.Event()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.script = self
        self.url = f"http://127.0.0.1:{self._http.server_port}/archive.tar.gz"

    def __enter__(self):
        # The poll interval is what closing the server takes.
        threading.Thread(target=self._http.serve_forever, args=(0.01,)).start()
        return self

    def __exit__(self, *exc_info):
        self.released.set()
        self._http.shutdown()
        self._http.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        script = self.server.script
        answer = script.answers[min(len(script.paths), len(script.answers) - 1)]
        script.paths.append(self.path)
        script.ranges.append(self.headers["Range"])
        self.close_connection = True
        try:
            answer(self)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has gone

    def log_message(self, *args):
        pass


def reply(handler, code, body=b"", **headers):
    """Send a response with exactly these headers; Content_Length=... and so on."""
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


def offset(handler):
    """Return where the range begins that is asked for."""
    return int(re.search(r"\d+", handler.headers["Range"] or "0")[0])


def ranged(body, stop=None, shift=0, most=None):
    """Serve ranges, of ``most`` bytes; break off at byte ``stop``; err by ``shift``."""

    def answer(handler):
        start, total = offset(handler), len(body)
        if start >= total:
            return reply(handler, 416, Content_Range=f"bytes */{total}")
        if not handler.headers["Range"]:
            return reply(handler, 200, body[:stop], Content_Length=total)
        start += shift
        end = total if most is None else min(total, start + most)
        headers = {"Content_Range": f"bytes {start}-{end - 1}/{total}"}
        content = body[start : end if stop is None else stop]
        reply(handler, 206, content, Content_Length=end - start, **headers)

    return answer


def cut(body, stop):
    """Announce the whole body, send what lies before byte ``stop``."""
    return ranged(body, stop)


def whole(body, **headers):
    """Send the whole body whatever is asked; its length unless another is given."""
    headers = {"Content_Length": len(body), **headers}
    return lambda handler: reply(handler, 200, body, **headers)


def bare(body, **headers):
    """Send a body without its length, up to the end of the connection."""
    return lambda handler: reply(handler, 200, body, **headers)


def chunked(body, end=b"0\r\n\r\n", **headers):
    """Send the body as one chunk."""

    def answer(handler):
        handler.protocol_version = "HTTP/1.1"
        content = b"%x\r\n%s\r\n" % (len(body), body)
        reply(handler, 200, content + end, Transfer_Encoding="chunked", **headers)

    return answer


def status(code, **headers):
    """Send nothing but a status."""
    return lambda handler: reply(handler, code, Content_Length=0, **headers)


def hang(body, stop):
    """Send what lies before byte ``stop``, then nothing until the server closes."""

    def answer(handler):
        cut(body, stop)(handler)
        handler.server.script.released.wait(30)

    return answer


def redirect(target):
    """Send the client elsewhere."""
    return status(302, Location=target)
