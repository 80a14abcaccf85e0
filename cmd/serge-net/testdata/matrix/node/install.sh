#!/bin/sh -e
# The clients of npm, and three runtimes that it has as packages.
npm install --silent --no-package-lock --no-bin-links
