"$FABMARK" pair 127.0.0.1 --port 9
echo "[$?]" >&2
FABMARK_TOKEN=short "$FABMARK" pair 127.0.0.1 --port 9
echo "[$?]" >&2
FABMARK_TOKEN=0123456789abcdef0123456789abcdef "$FABMARK" pair 127.0.0.1 --port 9
