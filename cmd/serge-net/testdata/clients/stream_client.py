"""stream_client.py BASE SCENE…: reads streams below BASE with httpx as their events
come, over HTTP/2 if it can be, and prints what it sees. The events are taken apart
here, as httpx does not."""
import json, sys
import httpx

base, scenes = sys.argv[1], sys.argv[2:]


def events(response):
    event = {}
    for line in response.iter_lines():
        line = line.rstrip("\r\n")  # which older versions leave
        if line:
            name, _, value = line.partition(":")
            event[name] = value.removeprefix(" ")
        elif event:
            yield event
            event = {}


def acked(client):
    with client.stream("GET", base + "/stream/acked") as response:
        for event in events(response):
            print(event)
            if event["data"] != "2":
                print(client.post(base + "/ack").status_code)


def reconnect(client, headers={}):
    while True:
        with client.stream("GET", base + "/stream/ids", headers=headers) as response:
            print(response.status_code, headers)
            if response.status_code == 204:
                return
            for event in events(response):
                print(event)
                if "id" in event:
                    headers = {"Last-Event-ID": event["id"]}


def leave(client):
    for path in ("/stream/endless?n=5", "/stream/endless?n=4&gzip=1"):
        with client.stream("GET", base + path) as response:
            for event in events(response):
                print(event)
                if event["data"] == "3":
                    break


def silence(client):
    try:
        with client.stream("GET", base + "/stream/endless?n=2", timeout=0.7) as response:
            for event in events(response):
                print(event)
    except httpx.ReadTimeout as e:
        print(type(e).__name__)


def cut(client):
    try:
        with client.stream("GET", base + "/stream/cut") as response:
            for line in response.iter_lines():
                print(line.rstrip("\n"))
    except httpx.HTTPError as e:
        print(type(e).__name__)


def lines(client):
    for path in ("/stream/lines?n=3", "/stream/lines?n=4&gzip=1"):
        with client.stream("GET", base + path) as response:
            print([json.loads(line)["n"] for line in response.iter_lines()])


def poll(client):
    for _ in range(6):
        response = client.get(base + "/poll")
        print(response.status_code, response.text)


def chat(client):
    for run in range(2):  # equal questions, each with an answer of its own
        ids, text = set(), ""
        with client.stream("POST", base + "/stream/chat", json={"stream": True, "messages": [{"role": "user", "content": "Hello"}]}) as response:
            for event in events(response):
                if event["data"] == "[DONE]":
                    print("done")
                    continue
                chunk = json.loads(event["data"])
                ids.add(chunk["id"])
                text += chunk["choices"][0]["delta"].get("content", "")
        print(ids, len(text), text[:44])


def secret(client):
    with client.stream("GET", base + "/stream/secret") as response:
        first, second = [json.loads(event["data"]) for event in events(response)]
        print(first["token"] == second["as"], first["token"][:4], len(first["token"]))


with httpx.Client(http2=True) as client:
    for scene in scenes:
        globals()[scene](client)
