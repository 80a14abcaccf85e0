#!/bin/bash
# Writes ../tools anew: `make fixtures`, as root on Debian. The tools come from
# their registries into a temporary directory; api.example.com is loopback, in a
# mount namespace of its own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ]; then
  work=${FIXTURES:-$(mktemp -d)}
  mkdir -p "$work"/{out,py,npm5,npm6,go}
  cd "$work"
  [ -x py/bin/mitmdump ] || { python3 -m venv py && py/bin/pip install -q vcrpy==9.4.2 requests mitmproxy==11.0.2; }
  # PyPI's index is asked by pip, npm's by npm: nothing else is fetched.
  [ -d npm5/node_modules ] || (cd npm5 && npm install --silent --no-audit --no-fund @pollyjs/{core,adapter-node-http,persister-fs}@5 nock@14)
  [ -d npm6/node_modules/ws ] || (cd npm6 && npm install --silent --no-audit --no-fund @pollyjs/{core,adapter-node-http,persister-fs}@6 nock@13 playwright-core ws@8)
  mvn -q dependency:get -Dartifact=org.wiremock:wiremock-standalone:3.9.1
  (cd go && { [ -f go.mod ] || { go mod init fixtures && go get github.com/dnaeon/go-vcr/recorder@v1.2.0 gopkg.in/dnaeon/go-vcr.v3/recorder@v3.2.0 gopkg.in/dnaeon/go-vcr.v4/pkg/recorder@v4.0.7; }; } && cp "$here/govcr_gen.go" . && CGO_ENABLED=0 go build -o govcr govcr_gen.go)
  exec env here="$here" unshare -m bash "$0" inside
fi

{ cat /etc/hosts; echo "127.0.0.1 api.example.com"; } > hosts
mount --bind hosts /etc/hosts
rm -rf out && mkdir out
u=http://api.example.com:8123
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait' EXIT
begin() { "$@" & started+=($!); }
# up waits until something answers at a URL.
up() { for _ in $(seq 150); do curl -s -o /dev/null "$@" && return; sleep 0.2; done; echo "no answer: $*" >&2; exit 1; }

begin python3 "$here/origin.py"
up $u/
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=api.example.com 2>/dev/null
NODE_PATH=npm6/node_modules begin node "$here/origin.js"
up -k https://api.example.com:8443/

py/bin/python "$here/vcrpy_gen.py"
go/govcr
ruby "$here/vcr_gen.rb"
NODE_PATH=npm6/node_modules node "$here/nock_gen.js" out/nock.json
NODE_PATH=npm5/node_modules node "$here/nock_gen.js" out/nock14.json
NODE_PATH=npm6/node_modules node "$here/polly_gen.js" out/polly && mv out/polly/*/recording.har out/polly.har && rm -r out/polly
NODE_PATH=npm5/node_modules node "$here/polly_gen.js" out/polly && mv out/polly/*/recording.har out/polly5.har && rm -r out/polly
NODE_PATH=npm6/node_modules node "$here/playwright_gen.js"

begin py/bin/mitmdump -q --ssl-insecure --set confdir=mitm --mode regular@8124 --mode reverse:http://api.example.com:8125@8126 -w out/mitmproxy.flows
mitm=${started[-1]}
c="curl -s -o /dev/null -x http://127.0.0.1:8124"
up -x http://127.0.0.1:8124 $u/
$c -H 'Authorization: Bearer s3cr3t-token' "$u/json?q=1&r=a%20b"
for p in bin count count text nope; do $c $u/$p; done
$c -d '{"id":7,"tag":"x"}' -H 'Content-Type: application/json' $u/items
$c http://api.example.com:1/refused || true
$c $u/cut || true
$c -k --http2 https://api.example.com:8443/h2
NODE_PATH=npm6/node_modules node "$here/socket.js" ws://api.example.com:8126/echo
kill "$mitm"
wait "$mitm" || true

jar=$(find ~/.m2 -name wiremock-standalone-3.9.1.jar)
mkdir out/wiremock
begin java -jar "$jar" --port 8127 --bind-address 127.0.0.1 --root-dir out/wiremock --disable-banner
w=http://127.0.0.1:8127
up $w/__admin/mappings
curl -sS -o /dev/null --json '{"targetBaseUrl":"http://api.example.com:8123","requestBodyPattern":{"matcher":"auto"},"extractBodyCriteria":{"binarySizeThreshold":"100"}}' $w/__admin/recordings/start
curl -s -o /dev/null -H 'Authorization: Bearer s3cr3t-token' "$w/json?q=1&r=a%20b"
for p in bin count count text nope; do curl -s -o /dev/null $w/$p; done
curl -s -o /dev/null -d '{"id":7,"tag":"x"}' -H 'Content-Type: application/json' $w/items
curl -sS --json '' $w/__admin/recordings/stop > out/wiremock/admin.json

rm -rf "$here/../tools/wiremock"
cp -r out/* "$here/../tools/"
