"""events.py BASE LIBRARY: reads streams of events below BASE by a library, and prints
what it sees."""
import sys

base, library = sys.argv[1], sys.argv[2]
question = {"model": "fox-1", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 300}


def httpx_sse():
    import httpx
    from httpx_sse import connect_sse

    headers = {}
    with httpx.Client() as client:
        while headers.get("Last-Event-ID") != "6":
            with connect_sse(client, "GET", base + "/stream/ids", headers=headers) as source:
                for event in source.iter_sse():
                    if event.id:
                        print(event.event, event.id, event.json())
                        headers = {"Last-Event-ID": event.id}


def openai():
    from openai import OpenAI

    client = OpenAI(base_url=base + "/v1", api_key="sk-of-nobody-in-particular-0123456789")
    text = "".join(c.choices[0].delta.content or "" for c in client.chat.completions.create(stream=True, **question))
    print(len(text), text[:44])


def anthropic():
    from anthropic import Anthropic

    client = Anthropic(base_url=base, api_key="sk-ant-of-nobody-in-particular-0123456789")
    with client.messages.stream(**question) as stream:
        message = stream.get_final_message()
    print(len(message.id), len(message.content[0].text), message.usage.output_tokens)


{"httpx-sse": httpx_sse, "openai": openai, "anthropic": anthropic}[library]()
