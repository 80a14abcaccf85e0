"""Sends datagrams as programs do: an SNTP question, which it waits for the answer
of, and three StatsD counters by a socket of its own. Its arguments are the host and
"connected" if the question is to be."""

import socket
import struct
import sys

host, connected = sys.argv[1], "connected" in sys.argv


def ask(to):
    """Asks to, and says what came back."""
    s = socket.socket(to[0], socket.SOCK_DGRAM)
    s.settimeout(5)
    question = b"\x23" + 39 * b"\0" + struct.pack(">Q", 0x0102030405060708)
    try:
        if connected:
            s.connect(to[4])
            s.send(question)
            answer = s.recv(512)
        else:
            s.sendto(question, to[4])
            answer, peer = s.recvfrom(512)
            if peer[:2] != to[4][:2]:
                return f"answered by {peer}"
    except OSError as e:
        return e.strerror or "no answer"
    return f"stratum {answer[1]}, {answer[24:32].hex()}"


def count(to):
    """Counts thrice, and says how."""
    s = socket.socket(to[0], socket.SOCK_DGRAM)
    try:
        for _ in range(3):
            s.sendto(b"hits:1|c", to[4])
    except OSError as e:
        return e.strerror
    return "sent"


for port, what in ((123, ask), (8125, count)):
    for to in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM):
        print("IPv6" if to[0] == socket.AF_INET6 else "IPv4", port, what(to), flush=True)
