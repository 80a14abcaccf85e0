"""Prints what a TCP server at HOST PORT answers to the rest of the arguments, a
line each, and how the connection ended. With PORT 25 the server speaks first."""
import socket
import sys

host, port, lines = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
try:
    c = socket.create_connection((host, port), timeout=30)
    f = c.makefile("rwb")
    if port == 25:
        print(f.readline())
    for line in lines:
        f.write(line.encode() + b"\n")
        f.flush()
        print(f.readline())
    c.shutdown(socket.SHUT_WR)
    print(f.read())
except ConnectionResetError:
    print("reset")
    sys.exit(0)
