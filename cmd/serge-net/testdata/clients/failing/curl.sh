#!/bin/sh
# Gets each URL of its arguments, NAME=URL, all at once, and prints what became of each.
for a; do
	{
		out=$(curl -sS -m 3 -o /dev/null "${a#*=}" 2>&1) && out=ok
		printf '%s\t%s\n' "${a%%=*}" "$(echo "$out" | head -1)"
	} &
done
wait
