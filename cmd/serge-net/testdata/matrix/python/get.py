"""Prints what a URL answers, by the library that the first argument names."""
import sys

library, url = sys.argv[1:]


def by_urllib():
    import urllib.request
    return urllib.request.urlopen(url, timeout=20).read().decode()


def by_requests():
    import requests
    return requests.get(url, timeout=20).text


def by_httpx():
    import httpx
    return httpx.get(url, timeout=20).text


def by_urllib3():
    import urllib3
    return urllib3.PoolManager(retries=False).request("GET", url, timeout=20).data.decode()


def by_httplib2():
    import httplib2
    return httplib2.Http(timeout=20).request(url)[1].decode()


def by_pycurl():
    import io
    import pycurl
    out, c = io.BytesIO(), pycurl.Curl()
    c.setopt(c.URL, url)
    c.setopt(c.WRITEDATA, out)
    c.perform()
    return out.getvalue().decode()


def by_aiohttp():
    import asyncio
    import aiohttp

    async def get():
        async with aiohttp.ClientSession() as s, s.get(url) as r:
            return await r.text()
    return asyncio.run(get())


def by_websockets():
    import asyncio
    import websockets

    async def echo():
        async with websockets.connect(url) as ws:
            await ws.send('"testnet"\n')
            return await ws.recv()
    return asyncio.run(echo())


def by_boto3():
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    base, bucket, key = url.rsplit("/", 2)
    s3 = boto3.client("s3", endpoint_url=base, region_name="us-east-1",
                      config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}))
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def by_grpc():
    from urllib.parse import urlsplit
    import grpc
    at = urlsplit(url)
    with grpc.secure_channel(at.netloc, grpc.ssl_channel_credentials()) as channel:
        return channel.unary_unary(at.path)(b'"testnet"\n', timeout=20).decode()


def by_soup():
    import gi
    gi.require_version("Soup", "3.0")
    from gi.repository import Soup
    return Soup.Session().send_and_read(Soup.Message.new("GET", url)).get_data().decode()


def by_gio():
    from urllib.parse import urlsplit
    from gi.repository import Gio
    at, client = urlsplit(url), Gio.SocketClient(tls=True)
    stream = client.connect_to_uri(url, 443)
    stream.get_output_stream().write_all(f"GET {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\n\r\n".encode())
    return Gio.DataInputStream.new(stream.get_input_stream()).read_upto("\0", -1)[0]


sys.stdout.write(globals()["by_" + library]())
