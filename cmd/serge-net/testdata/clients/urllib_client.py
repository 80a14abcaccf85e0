"""Prints the status and body of each URL in its arguments, by urllib."""
import ssl, sys, urllib.request

for url in sys.argv[1:]:
    with urllib.request.urlopen(url, timeout=20) as r:
        sys.stdout.write(f"{r.status} {url}\n{r.read().decode()}")
