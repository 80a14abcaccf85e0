#!/bin/sh
# page.sh URL: opens a page in Chromium, prints what it says with "page:", and closes the
# browser when that is "done". PAGE_DIRECT is one more option.
d=$(mktemp -d)
chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$d" \
	--enable-logging=stderr --v=0 $PAGE_DIRECT "$1" 2>"$d/log" >/dev/null &
n=0
until grep -q 'page: done' "$d/log" || [ $n -gt 300 ]; do
	sleep 0.1
	n=$((n + 1))
done
kill $!
wait $!
sed -n 's/.*"page: \(.*\)", source.*/\1/p' "$d/log"
rm -rf "$d"
