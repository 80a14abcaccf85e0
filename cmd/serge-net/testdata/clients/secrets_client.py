"""Sends $API_TOKEN to the origin named by its argument in many ways, spends what
it gets back, and prints whether that was what it sent."""
import base64, gzip, json, os, sys, urllib.parse, urllib.request

base, token = sys.argv[1], os.environ["API_TOKEN"]


def ask(path, body=None, **fields):
    fields = {k.replace("_", "-"): v for k, v in fields.items()}
    with urllib.request.urlopen(urllib.request.Request(base + path, body, fields), timeout=20) as r:
        return r.read()


def echo(kind, body, **fields):
    got = ask("/echo", body, Content_Type=kind, **fields)
    print(kind, got == body)
    return got


got = json.loads(echo("application/json", json.dumps({"access_token": token, "n": 1}).encode()))["access_token"]
print("hello", len(ask("/hello?" + urllib.parse.urlencode({"key": got}), Authorization="Bearer " + got)) > 0)
echo("application/x-www-form-urlencoded", urllib.parse.urlencode({"grant_type": "refresh_token", "refresh_token": got}).encode())
for pad in ("", "a", "ab"):
    echo("text/plain", base64.b64encode((pad + "::" + got + "::").encode()))
packed = ask("/echo", gzip.compress(json.dumps({"v": got}).encode(), mtime=0), Content_Type="application/gzip")
print("gzip", json.loads(gzip.decompress(packed))["v"] == got)
echo("application/octet-stream", b"\x00\xff" * 100 + got.encode() + b"\xfe\x00")
