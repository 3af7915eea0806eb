"""What a link really gives: a plain TCP stream, one way and both, and a byte's time.

    python benchmarks/network/stream.py serve SECONDS
    python benchmarks/network/stream.py ADDRESS SECONDS

The second prints JSON: Gbit/s of payload one way, and each way while both hosts send,
after the first fifth of the time; and the median time of a byte there and back.
"""

import json
import socket
import statistics
import sys
import threading
import time

PORT = 47011
BLOCK = 1 << 20


def receive(peer: socket.socket, seconds: float, rates: list[float]) -> None:
    """Read for a while; note the Gbit/s after the first fifth, however long that is."""
    buffer, total, begun = bytearray(BLOCK), 0, None
    start = time.perf_counter()
    while count := peer.recv_into(buffer):
        total += count
        now = time.perf_counter() - start
        if begun is None:
            if now > 0.2 * seconds:
                begun = now, total
        elif now - begun[0] > 0.8 * seconds:
            break
    if begun is None or now == begun[0]:
        raise ConnectionError("the other end has sent too little to be timed")
    rates.append(8e-9 * (total - begun[1]) / (now - begun[0]))


def send(peer: socket.socket, stop: threading.Event) -> None:
    """Write until told to stop, or the other end has seen enough and closes."""
    block = bytes(BLOCK)
    try:
        while not stop.is_set():
            peer.sendall(block)
        peer.shutdown(socket.SHUT_WR)
    except OSError:  # closed by the other end
        pass


def both_ways(peer: socket.socket, seconds: float) -> float:
    """Send and receive at once; return the Gbit/s that came in."""
    rates, stop = [], threading.Event()
    sender = threading.Thread(target=send, args=(peer, stop), daemon=True)
    sender.start()
    receive(peer, seconds, rates)
    stop.set()
    # the other end may still be timing: to close now would cut it off
    buffer = bytearray(BLOCK)
    while peer.recv_into(buffer):
        pass
    sender.join()
    return rates[0]


def serve(seconds: float) -> None:
    """Answer bytes, then read, then read and write, a connection for each."""
    with socket.create_server(("", PORT)) as server:
        print("ready", flush=True)
        with server.accept()[0] as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while byte := peer.recv(1):
                peer.send(byte)
        rates: list[float] = []
        with server.accept()[0] as peer:
            receive(peer, seconds, rates)
        with server.accept()[0] as peer:
            rates.append(both_ways(peer, seconds))
        print(json.dumps(rates), flush=True)


def round_trip(address: str) -> float:
    """Return the median time of a byte there and back."""
    with socket.create_connection((address, PORT)) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = []
        for _ in range(50):
            start = time.perf_counter()
            peer.send(b"x")
            peer.recv(1)
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def main() -> None:
    address, seconds = sys.argv[1], float(sys.argv[2])
    if address == "serve":
        return serve(seconds)
    found = round_trip(address)
    with socket.create_connection((address, PORT)) as peer:
        send(peer, threading.Event())
    with socket.create_connection((address, PORT)) as peer:
        both_ways(peer, seconds)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
