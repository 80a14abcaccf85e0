"""Gets each URL of its arguments, NAME=URL, all at once, and prints what became of each."""
import concurrent.futures
import sys
import urllib.error
import urllib.request


def get(arg):
    name, url = arg.split("=", 1)
    try:
        with urllib.request.urlopen(url, timeout=2) as r:
            return name, f"{r.status}, {len(r.read())} bytes"
    except Exception as e:
        if isinstance(e, urllib.error.URLError) and isinstance(e.reason, Exception):
            e = e.reason
        return name, f"{type(e).__name__}: {e}"


with concurrent.futures.ThreadPoolExecutor(64) as pool:
    for name, outcome in pool.map(get, sys.argv[1:]):
        print(name, outcome.replace("\n", " "), sep="\t", flush=True)
