"""Hold each packet that arrives in this network namespace for a while; needs root.

    ip netns exec NAME python benchmarks/network/delay_line.py SECONDS

It stands in for ``tc ... netem delay``, which needs a module that not every kernel has.
A rule of iptables hands arriving packets to this process (NFQUEUE), which is told their
numbers but gets none of their bytes: the kernel keeps them, also the ones of 64 KiB
that TCP cuts up later (GSO).  When a packet's time has come, one message releases it
and all that came before.  Rates up to some 25 Gbit/s are possible, in Python.

References: Linux, include/uapi/linux/netfilter/nfnetlink_queue.h.
"""

import os
import select
import socket
import struct
import sys
import time
from collections import deque

NETLINK_NETFILTER = 12
SO_RCVBUFFORCE = 33
PACKET, VERDICT_BATCH, CONFIG = (3 << 8 | number for number in (0, 3, 2))
REQUEST, ACK = 1, 4
ERROR = 2  # type of the kernel's answer
BIND, META, KEEP_WHOLE, ACCEPT = 1, 1, 4, 1
COMMAND, PARAMS, MAX_LENGTH, MASK, FLAGS = 1, 2, 3, 4, 5  # attributes of CONFIG
VERDICT = 2  # attribute of VERDICT_BATCH
QUEUE = 0
MOST_PACKETS = 1 << 16
#: Offset of a packet's number: header, family, then the first attribute's header.
NUMBER = 16 + 4 + 4


def message(kind: int, attributes: list[tuple[int, bytes]], flags: int) -> bytes:
    """Return a netlink message about the queue."""
    body = struct.pack(">BBH", socket.AF_UNSPEC, 0, QUEUE)
    for name, value in attributes:
        body += struct.pack("=HH", 4 + len(value), name) + value
        body += bytes(-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, REQUEST | flags, 0, 0) + body


def bound_queue() -> socket.socket:
    """Return a socket to which the kernel says each packet's number."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    link.bind((0, 0))
    for attributes in (
        [(COMMAND, struct.pack(">BBH", BIND, 0, socket.AF_INET))],
        [
            (PARAMS, struct.pack(">IB", 0, META)),
            (MAX_LENGTH, struct.pack(">I", MOST_PACKETS)),
            (MASK, struct.pack(">I", KEEP_WHOLE)),
            (FLAGS, struct.pack(">I", KEEP_WHOLE)),
        ],
    ):
        link.send(message(CONFIG, attributes, ACK))
        answer = link.recv(4096)
        (kind,) = struct.unpack_from("=H", answer, 4)
        (error,) = struct.unpack_from("=i", answer, 16)
        if kind != ERROR or error:
            raise OSError(-error, f"NFQUEUE: {os.strerror(-error)}")
    link.setblocking(False)
    return link


def hold(link: socket.socket, seconds: float) -> None:
    """Release packets ``seconds`` after they came, for ever."""
    held: deque[tuple[float, int]] = deque()  # (time to leave, number), in order
    number_at = struct.Struct(">I").unpack_from
    while True:
        wait = held[0][0] - time.perf_counter() if held else None
        if wait is None or wait > 0:
            select.select([link], [], [], wait)
        for _ in range(64):  # then look whether one is due
            try:
                told = link.recv(4096)
            except BlockingIOError:
                break
            held.append((time.perf_counter() + seconds, *number_at(told, NUMBER)))
        now, last = time.perf_counter(), None
        while held and held[0][0] <= now:
            _, last = held.popleft()
        if last is not None:
            verdict = struct.pack(">II", ACCEPT, last)
            link.send(message(VERDICT_BATCH, [(VERDICT, verdict)], 0))


def main() -> None:
    link = bound_queue()
    # ranks wait for each other busily: without this, packets would wait for them
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    print("ready", flush=True)
    hold(link, float(sys.argv[1]))


if __name__ == "__main__":
    main()
