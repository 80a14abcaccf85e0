import gzip, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
count = 0
class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def send(self, code, body, ct, extra=()):
        self.send_response(code)
        self.send_header("Content-Type", ct)
        for k, v in extra: self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(body)
    def do_GET(self):
        global count
        if self.path.startswith("/json"):
            self.send(200, gzip.compress(json.dumps({"name": "ada", "city": "Zürich"}).encode(), mtime=0), "application/json", [("Content-Encoding", "gzip"), ("X-Two", "a"), ("X-Two", "b")])
        elif self.path == "/bin":
            self.send(200, bytes(range(256)), "application/octet-stream")
        elif self.path == "/count":
            count += 1
            self.send(200, b"call %d" % count, "text/plain", [("Set-Cookie", "sid=s3cr3t-%d; Path=/" % count)])
        elif self.path == "/moved":
            self.send(302, b"", "text/plain", [("Location", "/text")])
        elif self.path == "/text":
            self.send(200, "grüezi\nwohl: \"yes\"\n".encode(), "text/plain; charset=utf-8")
        elif self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        else:
            self.send(404, b'{"error": "none"}', "application/json")
    do_HEAD = do_GET
    def do_POST(self):
        b = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send(201, b'{"got":' + b + b"}", "application/json")
s = ThreadingHTTPServer(("127.0.0.1", 8123), H)
s.serve_forever()
