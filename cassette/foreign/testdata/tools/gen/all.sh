#!/bin/bash
# Writes the fixtures anew into ./out: `unshare -m bash all.sh` in this directory, as root
# (api.example.com is mapped to loopback in a mount namespace of its own).
# Needs what ../README.md names, and a module around govcr_gen.go.
set -e
{ cat /etc/hosts; echo "127.0.0.1 api.example.com"; } > hosts
mount --bind hosts /etc/hosts
mkdir -p out
python3 origin.py & origin=$!
until curl -s -o /dev/null http://api.example.com:8123/; do sleep 0.2; done
python3 vcrpy_gen.py
go run govcr_gen.go
ruby vcr_gen.rb
node nock_gen.js
node polly_gen.js
mitmdump -q -p 8124 -w out/mitmproxy.flows & mitm=$!
until curl -s -o /dev/null -x http://127.0.0.1:8124 http://api.example.com:8123/; do sleep 0.2; done
c="curl -s -o /dev/null -x http://127.0.0.1:8124"
u=http://api.example.com:8123
$c -H 'Authorization: Bearer s3cr3t-token' "$u/json?q=1&r=a%20b"
for p in bin count count text nope; do $c $u/$p; done
$c -d '{"id":7,"tag":"x"}' -H 'Content-Type: application/json' $u/items
$c http://api.example.com:1/refused
kill -INT $mitm $origin
