"""talk.py ORIGIN LIBRARY: talks to server.mjs at https://ORIGIN by a library, and
prints what it sees."""
import asyncio, sys

origin, library = sys.argv[1], sys.argv[2]
url = f"wss://{origin}/echo"


async def websockets():
    from websockets.asyncio.client import connect

    async with connect(url, subprotocols=["echo.test"]) as ws:
        print(ws.subprotocol)
        await ws.send("hello")
        print(await ws.recv())
        await ws.send([b"one ", b"two"])
        print(await ws.recv())
        await (await ws.ping())
        await ws.close(4000, "enough")
    print(ws.close_code, ws.close_reason)


async def aiohttp():
    import aiohttp

    async with aiohttp.ClientSession(trust_env=True) as session:
        async with session.ws_connect(url, protocols=["echo.test"], compress=15) as ws:
            print(ws.protocol)
            await ws.send_str("hello")
            print(await ws.receive_str())
            await ws.send_bytes(bytes(3000))
            print(len(await ws.receive_bytes()))
            await ws.send_json({"a": [1, 2]})
            print(await ws.receive_json())
            await ws.close(code=4000, message=b"enough")
        print(ws.close_code)


asyncio.run({"websockets": websockets, "aiohttp": aiohttp}[library]())
