#!/bin/sh -e
# The clients of PyPI that read streams.
/usr/bin/python3 -m venv venv
venv/bin/pip install -q --upgrade -r requirements.txt
