#!/bin/sh -e
# The clients of npm that read streams, their servers, and a newer Node.
npm install --silent --no-package-lock --no-bin-links
