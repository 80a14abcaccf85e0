#!/bin/sh -e
# The clients of PyPI in a virtual environment of the system's Python, and pip as
# Debian brings it into one.
/usr/bin/python3 -m venv venv
venv/bin/pip install -q --upgrade -r requirements.txt
/usr/bin/python3 -m venv stock
