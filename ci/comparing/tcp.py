"""fabmark and its peers over TCP: the loopback, or two network namespaces."""

import csv
import json
import os
import re
import statistics
import subprocess
import time

from comparing.report import (PROGRAM, ROOT, Counted, Failure, Peer, Test, Tool, Usage, found, read, sh, spread)

START_S = 10        # until a server listens
GRACE_S = 20        # beyond a run's own length until it is given up
LATENCY_SIZES = (8, 4096)
STREAM_BYTES = 128 * 1024
STREAMS = (1, 4)


# ---- where it runs ----


def usable_cpus(text):
    usable = sorted(os.sched_getaffinity(0))
    there = f"there are {','.join(map(str, usable))}"
    if not text:
        if len(usable) < 2:
            raise Failure(f"two CPUs that may be used are needed; {there}")
        return usable[-2:][::-1]
    if not re.fullmatch(r"\d+,\d+", text):
        raise Usage(f"--cpus {text}: two numbers are needed, as in --cpus 1,0; {there}")
    cpus = [int(cpu) for cpu in text.split(",")]
    if not set(cpus) <= set(usable) or cpus[0] == cpus[1]:
        raise Usage(f"--cpus {text}: two different CPUs that may be used are needed; {there}")
    return cpus


class Place:
    """Two ends: the same network namespace, or one for each. cpus: the driving end's, the other's."""

    address = "127.0.0.1"
    device = "lo"
    prefixes = ((), ())

    def __init__(self, cpus):
        self.cpus = cpus
        self.port = 21000

    def next_port(self):
        """Another for each run, so that none waits for a port of the one before."""
        self.port += 7
        return self.port

    def command(self, end, words, pinned=True):
        """pinned False: the program does it by itself."""
        pin = ["taskset", "-c", str(self.cpus[end])] if pinned else []
        return [*self.prefixes[end], *pin, *words]

    def congestion(self):
        words = [*self.prefixes[0], "cat", "/proc/sys/net/ipv4/tcp_congestion_control"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def words(self):
        return [f"link: {self.name}; congestion control of all: {self.congestion()}; CPU {self.cpus[0]} drives, CPU "
                f"{self.cpus[1]} answers"]

    def own_user_s(self):
        return os.times().children_user

    def close(self):
        pass


class Loopback(Place):
    name = "loopback"


class Veth(Place):
    name = "veth between two network namespaces"
    address = "10.78.0.2"
    device = "eth0"

    def __init__(self, cpus, congestion):
        super().__init__(cpus)
        if congestion:
            check_congestion(congestion)
        self.nodes = [f"fmcompare{os.getpid()}{end}" for end in "ab"]
        self.prefixes = tuple(("ip", "netns", "exec", node) for node in self.nodes)
        a, b = self.nodes
        try:
            for node in self.nodes:
                sh("ip", "netns", "add", node)
                sh("ip", "-n", node, "link", "set", "lo", "up")
                if congestion:
                    sh("ip", "netns", "exec", node, "sysctl", "-qw", f"net.ipv4.tcp_congestion_control={congestion}")
            sh("ip", "-n", a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b)
            for node, host in ((a, 1), (b, 2)):
                sh("ip", "-n", node, "addr", "add", f"10.78.0.{host}/24", "dev", "eth0")
                sh("ip", "-n", node, "link", "set", "eth0", "up")
        except Failure:
            self.close()
            raise

    def close(self):
        for node in self.nodes:
            subprocess.run(["ip", "netns", "del", node], capture_output=True, check=False)


def check_congestion(name):
    """Only the machine's own namespace may choose a congestion control that is not among the allowed ones."""
    allowed = read("/proc/sys/net/ipv4/tcp_allowed_congestion_control").split()
    if name not in allowed:
        raise Usage(f"--congestion {name}: not allowed in a network namespace; allowed are {', '.join(allowed)} "
                    "(sysctl net.ipv4.tcp_allowed_congestion_control, as root, adds to them what the kernel has)")


# ---- running a pair of processes ----


def listens(pid, port):
    """Whether a TCP port is listened on in the process's network namespace."""
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{table}") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        if any(row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == port for row in rows):
            return True
    return False


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def talk(place, server, client, port, seconds, env=None, pinned=True):
    """Runs a server and a client against it; the client's stdout."""
    environment = dict(os.environ, **(env or {}))
    host = subprocess.Popen(place.command(1, server, pinned), env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not listens(host.pid, port):
            if host.poll() is not None:
                raise Failure(f"its server ended with {host.returncode}")
            if time.monotonic() > deadline:
                raise Failure(f"its server does not listen after {START_S} s")
            time.sleep(0.05)
        result = subprocess.run(place.command(0, client, pinned), env=environment, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=seconds + GRACE_S, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failure(f"gave up after {late.timeout:g} s") from None
    finally:
        end(host)
    if result.returncode:
        raise Failure(f"exit status {result.returncode}: {result.stderr.strip()[-200:]}")
    return result.stdout


# ---- the programs ----
#
# latency() gives {"mean": us, "p50": us}, both of half a round trip, p50 where the program tells it; bandwidth() gives
# Gb/s of payload that the receiver has. Each is run as its authors run it for speed: those that can poll busily do.


class Fabmark(Peer):
    name = "fabmark"

    def present(self):
        if not os.access(PROGRAM, os.X_OK):
            raise Failure("build/release/fabmark is missing: cmake --preset release && cmake --build --preset release")
        self.version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]

    def row(self, place, test, size, seconds, streams=1, depth=0):
        port = place.next_port()
        # A fixed number, so that each round measures equally long: a repetition takes a twelfth of it, at most 0.3 s.
        repetitions = max(12, round(seconds / 0.3))
        out = talk(place, [PROGRAM, "serve", "--once", "--quiet", "--port", str(port)],
                   [PROGRAM, "pair", place.address, "--port", str(port), "--transport", "tcp", "--test", test, "--size",
                    str(size), "--streams", str(streams), "--depth", str(depth), "--repetitions",
                    str(repetitions), "--duration", str(seconds), "--cpu", f"{place.cpus[0]}={place.cpus[1]}", "--out", "none",
                    "--csv", "-", "--quiet"],
                   port, seconds, env={"FABMARK_TOKEN": "only for this comparison"}, pinned=False)
        row = list(csv.DictReader(out.splitlines()))[0]
        if row["status"] != "ok":
            raise Failure(row["reason"])
        return row

    def latency(self, place, size, seconds):
        row = self.row(place, "send_lat", size, seconds)
        return {"mean": float(row["lat_mean_us"]), "p50": float(row["lat_p50_us"])}

    def bandwidth(self, place, streams, seconds):
        return float(self.row(place, "send_bw", STREAM_BYTES, seconds, streams)["bw_gbps"])


class FabmarkAgain(Fabmark):
    """The same program once more in each round: how far the machine alone moves a ratio."""

    name = "fabmark again"


class FabmarkStream(Fabmark):
    """One send() a message into a byte stream, without receipts: what iperf3 does."""

    name = "fabmark stream_bw"

    def bandwidth(self, place, streams, seconds):
        return float(self.row(place, "stream_bw", STREAM_BYTES, seconds, streams)["bw_gbps"])


class FabmarkCached(FabmarkStream):
    """The same from two buffers of one message each, which stay in the CPU's cache as iperf3's one does."""

    name = "fabmark stream_bw --depth 2"

    def bandwidth(self, place, streams, seconds):
        return float(self.row(place, "stream_bw", STREAM_BYTES, seconds, streams, depth=2)["bw_gbps"])


class Iperf3(Tool):
    name = program = package = "iperf3"

    def bandwidth(self, place, streams, seconds):
        port = place.next_port()
        out = talk(place, ["iperf3", "-s", "-1", "-p", str(port)],
                   ["iperf3", "-c", place.address, "-p", str(port), "-t", str(round(seconds)), "-l", str(STREAM_BYTES), "-P",
                    str(streams), "-J"], port, seconds)
        return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9


class Sockperf(Tool):
    """Its latency is half a round trip unless --full-rtt is given (its --help); 14 bytes are its least message."""

    name = program = package = "sockperf"
    note = "14 B where others send 8"

    def latency(self, place, size, seconds):
        port = place.next_port()
        words = ["--tcp", "-i", place.address, "-p", str(port), "--nonblocked"]
        out = talk(place, ["sockperf", "server", *words],
                   ["sockperf", "ping-pong", *words, "-t", str(round(seconds)), "-m", str(max(size, 14))], port, seconds)
        return {"mean": found(r"avg-latency=([\d.]+)", out), "p50": found(r"percentile 50\.000 = +([\d.]+)", out)}


class Qperf(Tool):
    """
    Its latency is half a round trip: under 'strace -c' it wrote 24,606 messages in 2 s, 81.3 us a round trip, and
    reported 40.6 us. It cannot poll.
    """

    name = program = package = "qperf"
    note = "blocks in recv()"

    def run(self, place, test, size, seconds):
        port = place.next_port()
        return talk(place, ["qperf", "-lp", str(port)],
                    ["qperf", "-lp", str(port), "-ip", str(port + 1), "-t", str(round(seconds)), "-m", str(size), "-uu", "-e",
                     "6", place.address, test], port, seconds)

    def latency(self, place, size, seconds):
        out = self.run(place, "tcp_lat", size, seconds)
        value = re.search(r"latency += +([\d.]+) (ns|us|ms|sec)", out)
        if not value:
            raise Failure(f"its output has no latency: {out.strip()}")
        return {"mean": float(value[1]) * {"ns": 1e-3, "us": 1, "ms": 1e3, "sec": 1e6}[value[2]]}


class FiPingpong(Counted):
    """
    usec/xfer: the elapsed time by two transfers an iteration (util/pingpong.c, show_perf), half a round trip: 20,000
    iterations took 3.16 s and gave 78.88 us.
    """

    name = program = "fi_pingpong"
    package = "libfabric-bin"
    note = "provider tcp, endpoint msg"

    def latency(self, place, size, seconds):
        port = place.next_port()
        words = ["fi_pingpong", "-p", "tcp", "-e", "msg", "-S", str(size), "-I", str(self.operations(size, seconds))]
        out = talk(place, [*words, "-B", str(port)], [*words, "-P", str(port), place.address], port, seconds)
        return self.learn(size, {"mean": float(out.strip().splitlines()[-1].split()[-2])})


class UcxPerftest(Counted):
    """
    A ping-pong test's latency is half a round trip: 100,000 iterations took 3.29 s and gave 16.34 us. Columns of -v:
    iterations, percentile (50), average of the last report, overall.
    """

    name = program = "ucx_perftest"
    package = "ucx-utils"
    note = "tag_lat over tcp"

    def latency(self, place, size, seconds):
        port = place.next_port()
        out = talk(place, ["ucx_perftest", "-p", str(port)],
                   ["ucx_perftest", place.address, "-p", str(port), "-t", "tag_lat", "-s", str(size), "-n",
                    str(self.operations(size, seconds)), "-w", "1000", "-f", "-v"], port, seconds,
                   env={"UCX_TLS": "tcp", "UCX_NET_DEVICES": place.device, "UCX_WARN_UNUSED_ENV_VARS": "n"})
        cells = out.strip().splitlines()[-1].split(",")
        return self.learn(size, {"mean": float(cells[3]), "p50": float(cells[1])})


class Pingpong:
    """A bare send() and recv() loop and this program's lanes: one process, 8 B, loopback; half round trips in us."""

    name = "bare ping-pong"
    program = os.path.join(ROOT, "build/release/tests/bench_pingpong_tcp")

    def __init__(self):
        self.bare, self.lanes = [], []

    def measure(self):
        if not os.access(self.program, os.X_OK):
            raise Failure(f"{self.program} is not built")
        try:
            result = subprocess.run([self.program, "11", "20000"], capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            raise Failure("gave up after 120 s") from None
        if result.returncode:
            raise Failure(result.stderr.strip())
        bare, lanes = (found(pattern, result.stdout) for pattern in (r"bare (\d+) ns", r"ours (\d+) ns"))
        self.bare.append(bare / 1000)
        self.lanes.append(lanes / 1000)

    def sentences(self):
        own = [ours / bare for ours, bare in zip(self.lanes, self.bare)]
        if not own:
            return []
        return [f"send_lat 8 B, lanes of fabmark / bare ping-pong in one process = {spread(own, '%.3f')} (bare "
                f"{spread(self.bare, '%.2f')} us); goal <= 1.05: "
                f"{'reached' if statistics.median(own) <= 1.05 else 'not reached'}"]


def tests_of(peers, place, seconds):
    def latency(size):
        return lambda peer: peer.latency(place, size, seconds)

    def bandwidth(streams):
        return lambda peer: {"rate": peer.bandwidth(place, streams, seconds)}

    speakers = [peer for peer in peers if type(peer).latency is not Peer.latency and not isinstance(peer, FabmarkStream)]
    movers = [peer for peer in peers if type(peer).bandwidth is not Peer.bandwidth]
    tests = [Test(f"send_lat {size} B", "us", speakers, latency(size), 0.95, "less") for size in LATENCY_SIZES]
    tests += [Test(f"send_bw 128 KiB, {streams} stream{'s' if streams > 1 else ''}", "Gb/s", movers, bandwidth(streams), 1.1,
                   "more") for streams in STREAMS]
    return tests


def peers_of():
    return [Fabmark(), FabmarkAgain(), FabmarkStream(), FabmarkCached(), Iperf3(), Sockperf(), Qperf(), FiPingpong(),
            UcxPerftest()]
