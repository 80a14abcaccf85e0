"""Calls gRPC's test service and prints what it is told: python3-grpcio, without generated code.

usage: grpc_client.py ADDRESS [tls]
"""
import sys

import grpc

SERVICE = "/grpc.testing.TestService/"


def asks(*sizes):
    """A request for messages of sizes: StreamingOutputCallRequest."""
    return b"".join(b"\x12\x02\x08" + bytes([n]) for n in sizes)


def told(name, call):
    """Prints what call came to, with what of its metadata the server wrote."""
    try:
        answers = [len(m) for m in call()]
    except grpc.RpcError as e:
        late = e.code() == grpc.StatusCode.DEADLINE_EXCEEDED  # who was late, client or server, is chance
        print(name, e.code().name, "" if late else e.details().split("\n")[0])
        return
    print(name, answers)


def main(address, secure):
    make = (lambda a, **k: grpc.secure_channel(a, grpc.ssl_channel_credentials(), **k)) if secure else grpc.insecure_channel
    options = [("grpc.keepalive_time_ms", 20), ("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0)]
    with make(address, options=options) as channel:
        unary = channel.unary_unary(SERVICE + "UnaryCall")
        output = channel.unary_stream(SERVICE + "StreamingOutputCall")
        inputs = channel.stream_unary(SERVICE + "StreamingInputCall")
        duplex = channel.stream_stream(SERVICE + "FullDuplexCall")
        told("unary", lambda: [unary(b"\x10\x05")])
        told("compressed", lambda: [unary(b"\x10\x64", compression=grpc.Compression.Gzip)])
        told("server streaming", lambda: output(asks(3, 4, 5)))
        told("client streaming", lambda: [inputs(iter([b"\x0a\x04\x12\x02ab", b"\x0a\x03\x12\x01c"]))])
        told("status", lambda: [unary(b"\x3a\x08\x08\x05\x12\x04gone")])
        told("unknown method", lambda: [channel.unary_unary(SERVICE + "Nope")(b"")])
        told("deadline", lambda: output(b"\x12\x02\x08\x01" + b"\x12\x06\x08\x02\x10\x80\x89\x7a", timeout=0.3))

        call = unary.with_call(b"\x10\x01", metadata=[("x-grpc-test-echo-initial", "hello"), ("x-grpc-test-echo-trailing-bin", b"\x00\xff")])[1]
        print("metadata", dict(call.initial_metadata())["x-grpc-test-echo-initial"], dict(call.trailing_metadata())["x-grpc-test-echo-trailing-bin"])

        talk, turns = [], iter([7, 8, 9])

        def says():
            """Says the next when the one before was answered."""
            for n in turns:
                yield asks(n)
                while len(talk) < n - 6:
                    pass

        for m in duplex(says()):
            talk.append(len(m))
        print("in turn", talk)
        call = duplex(iter([asks(1)]))
        print("cancelled behind", len(next(call)))
        call.cancel()


main(sys.argv[1], len(sys.argv) > 2)
