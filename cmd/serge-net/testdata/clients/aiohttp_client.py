"""aiohttp_client.py URL: talks to an echoing WebSocket with the aiohttp library, with
compression, and prints what it sees."""
import asyncio, ssl, sys
import aiohttp


async def talk():
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(sys.argv[1], protocols=["echo.test"], compress=15, ssl=ssl.create_default_context()) as ws:
            print(ws.protocol)
            await ws.send_str("text é")
            print(await ws.receive_str())
            await ws.send_bytes(bytes(70000))
            print(len(await ws.receive_bytes()))
            await ws.send_json({"b": 1, "a": [1, 2]})
            print(await ws.receive_json())
            await ws.close(code=4000, message=b"enough")
        print(ws.close_code)


asyncio.run(talk())
