#!/bin/sh
# golden.sh FILE COMMAND...: compares what COMMAND prints with FILE. FABMARK_UPDATE=1 writes FILE anew.
set -u
file=$1
shift
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
"$@" >"$out" || { echo "$1 failed" >&2; exit 1; }
if [ "${FABMARK_UPDATE:-}" = 1 ]; then
	mkdir -p "$(dirname "$file")" && cat "$out" >"$file"
	exit
fi
diff -u "$file" "$out" && exit 0
echo "$file is not what $1 prints; FABMARK_UPDATE=1 writes it anew" >&2
exit 1
