"""websockets_client.py URL SCENE: plays a scene over a WebSocket with the
websockets library, and prints what it sees."""
import asyncio, json, ssl, sys, uuid
import websockets

url, scene = sys.argv[1], sys.argv[2]


async def talk():
    protocols = ["graphql-transport-ws"] if scene == "graphql" else None
    async with websockets.connect(url, subprotocols=protocols, max_size=None) as ws:
        print("open", ws.subprotocol, [type(e).__name__ for e in ws.extensions])
        await globals()[scene](ws)
        await ws.close(1000, "bye")
    print("closed", ws.close_code, ws.close_reason)


async def echo(ws):
    await ws.send("text é")
    print(await ws.recv())
    await ws.send(bytes(range(256)))
    print(len(await ws.recv()))
    await ws.send(["one ", "two ", "three"])  # in fragments
    print(await ws.recv())
    await (await ws.ping())
    print("pong")
    await ws.send(json.dumps({"run": str(uuid.uuid4()), "n": 1}))
    print(json.loads(await ws.recv())["n"])


async def order(ws):  # of argv[3] of argv[4], which is not known before
    await ws.send(json.dumps({"op": "buy", "what": sys.argv[3], "count": int(sys.argv[4])}))
    print("sold", json.loads(await ws.recv())["what"])


async def rpc(ws):
    first, second = ("a", "b") if len(sys.argv) < 4 else ("b", "a")  # in the other order, with other ids
    for n, method in enumerate((first, second)):
        await ws.send(json.dumps({"jsonrpc": "2.0", "id": n + 10 * len(sys.argv), "method": method}))
    by = {}
    for _ in range(2):
        m = json.loads(await ws.recv())
        by[m["id"] - 10 * len(sys.argv)] = m["result"]
    print(sorted(by.items()) == [(0, "did " + first), (1, "did " + second)], sorted(by.values()))


async def graphql(ws):
    await ws.send(json.dumps({"type": "connection_init"}))
    print(json.loads(await ws.recv()))
    mine = uuid.uuid4().hex[:7]  # as a nanoid, which no shape tells
    await ws.send(json.dumps({"type": "ping"}))
    print(json.loads(await ws.recv()))
    await ws.send(json.dumps({"id": mine, "type": "subscribe", "payload": {"query": "subscription { n }"}}))
    for _ in range(3):
        m = json.loads(await ws.recv())
        print(m["id"] == mine, m["type"], m.get("payload"))


async def ticks(ws):
    try:
        while True:
            print(await ws.recv())
    except websockets.ConnectionClosed as e:
        print(e.rcvd.code, e.rcvd.reason)


async def leave(ws):
    await ws.send("hello")
    print(await ws.recv())
    try:
        await ws.recv()
    except websockets.ConnectionClosed as e:
        print("left", e.rcvd)


async def big(ws):
    print(len(await ws.recv()))


asyncio.run(talk())
