#!/bin/sh
# mitmdump.sh DIR: installs mitmproxy into DIR, to be measured beside us, and prints
# the path of its program.
set -e
dir=$1
if [ ! -x "$dir/bin/mitmdump" ]; then
	python3 -m venv "$dir"
	"$dir/bin/pip" install -q mitmproxy==11.0.2 >&2
fi
echo "$dir/bin/mitmdump"
