"""Prints the status and body of each URL in its arguments, by requests."""
import sys, requests

with requests.Session() as s:
    for url in sys.argv[1:]:
        r = s.get(url, timeout=20)
        sys.stdout.write(f"{r.status_code} {url}\n{r.text}")
