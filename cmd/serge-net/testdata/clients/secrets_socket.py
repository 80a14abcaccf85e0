# Says API_TOKEN in a compressed WebSocket that echoes, and prints whether it heard it.
import asyncio, json, os, sys
import websockets


async def main():
    token = os.environ["API_TOKEN"]
    async with websockets.connect(sys.argv[1], compression="deflate") as ws:
        for text in (json.dumps({"auth": token, "pad": "x" * 400}), "plain " + token + " text"):
            await ws.send(text)
            print(await ws.recv() == text, [e.name for e in ws.extensions])


asyncio.run(main())
