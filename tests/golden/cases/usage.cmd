# Every mistake: one sentence on stderr, exit status 2.
try() {
	echo "\$ fabmark $*" >&2
	"$FABMARK" "$@"
	echo "[$?]" >&2
}
try
try nonsense
try pair --size 1E
try pair --size 0
try pair --size 64K,,1M
try pair --size 8:4
try pair --size 1:8M:x1
try pair --streams 0
try pair --depth 99999999
try pair --threads 4
try pair --threads 2 --streams 3
try pair --duration 0
try pair --test sendlat
try pair --transport
try pair --local=yes
try pair --no-such-option
try pair --iteration 5
try pair a b
try pair a --local
try pair ''
try pair --csv - --json - --local
try pair --csv - --raw - --local
try pair --size 8 -a --local
try pair --token secret --local
try pair --qp 4 --local
try pair --streams 4 -q 8 --local
try pair --transport warp --local
try pair --memory tape --local
try pair -n 100M --local
try pair -n 100M --streams 1024 --local
try pair -n 40M --rails eth0,eth1 --local
try pair --again ''
try pair --ssh ''
try pair --rails ''
try pair --device= --local
try pair --rails each: --local
try pair --run_infinitely --local
try pair --get-server-output --local
try serve extra
try serve --port 70000
try devices --jsn
