# Other programs' command lines: the line to paste, then the notes.
try() {
	echo "\$ $*"
	echo "\$ $*" >&2
	"$FABMARK" translate "$@"
	echo "[$?]"
}
try 'iperf3 -c node7'
try iperf3 -c node7 -P 4 -t 5 -l 1M -R -p 5301 -A 2,3 -B 10.0.0.1 -C bbr -w 4M -N -4 -J -u -i 1 -O 2
try 'iperf3 -c node7%eth1 -T "it'\''s" -M 1400 --connect-timeout 2000'
try 'iperf3 -s -p 5301 -1 -A 3'
try --quiet 'iperf3 -c node7 -P 4'
try -- iperf3 -s -D
try
try 'iperf4 -c node7'
try 'iperf3 -c node7 --paralell 4'
try 'iperf3 -c node7 -P 0'
try 'iperf3 -c node7 -t 0'
try 'iperf3 -c node7' --quiet
try iperf3 -c node7 --quiet
try 'iperf3 -c fe80::1%eth0 # the third'
try 'iperf3 -c node7 | tee log'
try sudo iperf3 -c node7
try 'ib_write_bw -s'
try 'ucx_perftest -t tag_latt node7'
try --nonsense iperf3
