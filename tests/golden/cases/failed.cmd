# A point that cannot be measured is a row, and its cause the last line.
SLURMD_NODENAME=node "$FABMARK" pair --local --transport tcp --test tag_bw --size 4K --out none --quiet
echo "[$?]" >&2
SLURMD_NODENAME=node "$FABMARK" pair --local --transport tcp --test send_bw --size 4G --out none --quiet
echo "[$?]" >&2
SLURMD_NODENAME=node "$FABMARK" pair --local --transport tcp --test send_bw --congestion none --out none --quiet
