import vcr, requests
U = "http://api.example.com:8123"
def go():
    requests.get(U + "/json?q=1&r=a%20b", headers={"Authorization": "Bearer s3cr3t-token"})
    requests.get(U + "/bin"); requests.get(U + "/count"); requests.get(U + "/count")
    requests.get(U + "/moved"); requests.head(U + "/text"); requests.get(U + "/nope")
    requests.post(U + "/items", json={"id": 7, "tag": "x"})
    requests.post(U + "/items", data=b'"\xff"', headers={"Content-Type": "application/octet-stream"})
for ser, ext, dec in (("yaml", "yaml", False), ("json", "json", False), ("yaml", "decoded.yaml", True)):
    if ser == "json":
        with vcr.use_cassette("out/vcrpy.json", serializer="json", decode_compressed_response=True):
            for p in ("/json?q=1&r=a%20b", "/count", "/count", "/text", "/nope"): requests.get(U + p, headers={"Authorization": "Bearer s3cr3t-token"})
            requests.post(U + "/items", json={"id": 7, "tag": "x"})
    else:
        with vcr.use_cassette("out/vcrpy." + ext, decode_compressed_response=dec): go()
