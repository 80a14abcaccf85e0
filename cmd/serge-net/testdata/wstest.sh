#!/bin/sh
# wstest.sh DIR: installs the Autobahn test suite into DIR and prints the path of
# its program. The suite needs Python 2.7, which Debian has no more: PYTHON2 names
# one, else one of PATH or of pyenv is taken.
set -e
dir=$1
if [ ! -x "$dir/venv/bin/wstest" ]; then
	for python in $PYTHON2 "$(command -v python2.7 || true)" "$HOME"/.pyenv/versions/2.7.*/bin/python2.7; do
		"$python" -c "" 2>/dev/null && break
	done
	"$python" -c "" 2>/dev/null || { echo "no Python 2.7: name one in PYTHON2, or install one: pyenv install 2.7.18" >&2; exit 1; }
	mkdir -p "$dir"
	"$python" -m pip install -q --target "$dir/virtualenv" virtualenv==20.15.1 >&2
	PYTHONPATH=$dir/virtualenv "$python" -m virtualenv -q "$dir/venv" >&2
	"$dir/venv/bin/pip" install -q autobahntestsuite==25.10.1 >&2
fi
echo "$dir/venv/bin/wstest"
