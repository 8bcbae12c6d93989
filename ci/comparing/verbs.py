"""fabmark and perftest over verbs, between two guests with soft-RoCE: the same two guests for all, in turn."""

import csv
import json
import math
import os
import shutil
import subprocess
import tempfile
import time

from comparing.report import PROGRAM, ROOT, Failure, Peer, Test, Tool

RIG = os.path.join(ROOT, "tests/rig")
UP_S = 60           # until both guests are there
START_S = 10        # until a server listens
GRACE_S = 30        # beyond a run's own length until it is given up
A, B, DEVICE, GID_INDEX = "10.0.0.1", "10.0.0.2", "rxe0", "1"
LATENCIES = {"write_lat": "ib_write_lat", "send_lat": "ib_send_lat", "read_lat": "ib_read_lat",
             "atomic_fadd_lat": "ib_atomic_lat"}
BANDWIDTHS = {"write_bw": "ib_write_bw", "read_bw": "ib_read_bw", "send_bw": "ib_send_bw"}
BANDWIDTH_BYTES = 65536
RATE_QUEUE_PAIRS = (1, 8)
TRIES = 4


# ---- where it runs ----


class Guests:
    """Two guests of the rig, joined by a link; each runs what it is told by files in a folder of its own."""

    name = "two guests of tests/rig on this machine, soft-RoCE, path MTU 4096, a CPU each"

    def __init__(self):
        self.share = tempfile.mkdtemp(prefix="compare-verbs.")
        self.port, self.jobs = 21000, 0
        self.outcome = open(os.path.join(self.share, "outcome"), "w+", encoding="utf-8")
        for end in "ab":
            os.mkdir(os.path.join(self.share, end))
        agent = os.path.join(RIG, "agent")
        self.pair = subprocess.Popen([os.path.join(RIG, "pair"), f"{agent} /share/a", f"{agent} /share/b"],
                                     env=dict(os.environ, RIG_SHARE=self.share, RIG_TIMEOUT="7200"), stdin=subprocess.DEVNULL,
                                     stdout=self.outcome, stderr=subprocess.STDOUT)
        try:
            for end in "ab":
                self.run(end, ["true"], UP_S)
        except Failure:
            self.close()
            raise

    def words(self):
        return [f"link: {self.name}"]

    def own_user_s(self):
        """The guests' processes are children of children, alive all the while."""
        parents, times = {}, {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    cells = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(name)], times[int(name)] = int(cells[1]), int(cells[11]) + int(cells[13])
        ticks = 0
        for process, spent in times.items():
            at = process
            while at in parents and at != self.pair.pid:
                at = parents[at]
            ticks += spent if at == self.pair.pid else 0
        return ticks / os.sysconf("SC_CLK_TCK")

    def next_port(self):
        self.port += 7
        return self.port

    def job(self, end, words, seconds, port=None, env=None):
        """Starts it; the path that its files begin with."""
        self.jobs += 1
        name = os.path.join(self.share, end, f"{self.jobs:06}")
        with open(name + ".part", "w", encoding="utf-8") as file:
            json.dump({"command": words, "environment": env or {}, "port": port, "seconds": seconds}, file)
        os.rename(name + ".part", name + ".job")
        return name

    def await_file(self, paths, seconds, what):
        """The first of them that is there."""
        deadline = time.monotonic() + seconds
        while True:
            for path in paths:
                if os.path.exists(path):
                    return path
            if self.pair.poll() is not None:
                self.outcome.seek(0)
                raise Failure(f"the guests ended with {self.pair.returncode}: {self.outcome.read().strip()[-400:]}")
            if time.monotonic() > deadline:
                raise Failure(f"{what} after {seconds:g} s")
            time.sleep(0.02)

    def outcome_of(self, name, seconds):
        self.await_file([name + ".done"], seconds, "no end")
        with open(name + ".done", encoding="utf-8") as file:
            told = json.load(file)
        if told["status"]:
            raise Failure(f"exit status {told['status']}: {(told['stderr'] or told['stdout']).strip()[-300:]}")
        return told["stdout"]

    def run(self, end, words, seconds, env=None):
        """Runs a command in a guest; its stdout."""
        return self.outcome_of(self.job(end, words, seconds, env=env), seconds + GRACE_S)

    def talk(self, server, client, port, seconds, env=None):
        """Runs a server in one guest and a client in the other; the client's stdout."""
        host = self.job("b", server, seconds + 2 * GRACE_S, port, env)
        try:
            if self.await_file([host + ".ready", host + ".done"], START_S, "its server does not listen").endswith(".done"):
                self.outcome_of(host, 1)
                raise Failure("its server ended before anybody came")
            return self.run("a", client, seconds + GRACE_S, env)
        finally:
            open(host + ".end", "w", encoding="ascii").close()
            self.await_file([host + ".done"], START_S, "its server does not end")

    def close(self):
        for end in "ab":
            open(os.path.join(self.share, end, "STOP"), "w", encoding="ascii").close()
        try:
            self.pair.wait(10)
        except subprocess.TimeoutExpired:
            self.pair.terminate()
            self.pair.wait()
        self.outcome.close()
        shutil.rmtree(self.share, ignore_errors=True)


# ---- the programs ----
#
# latency(place, test, seconds) gives {"mean": us, "p50": us} of 8 bytes; bandwidth(place, test, size, queue_pairs,
# seconds) gives Gb/s and messages a second.


class Fabmark(Peer):
    name = "fabmark"

    def present(self):
        if not os.access(PROGRAM, os.X_OK):
            raise Failure("build/release/fabmark is missing: cmake --preset release && cmake --build --preset release")
        if not os.path.exists(os.path.join(os.path.dirname(PROGRAM), "modules/verbs.so")):
            raise Failure("this build has no verbs module (package libibverbs-dev)")
        self.version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]

    def row(self, place, test, size, queue_pairs, seconds):
        port = place.next_port()
        out = place.talk([PROGRAM, "serve", "--once", "--quiet", "--port", str(port)],
                         [PROGRAM, "pair", B, "--port", str(port), "--data-address", f"{A}={B}", "--transport", "verbs",
                          "--test", test, "--size", str(size), "--streams", str(queue_pairs), "--repetitions",
                          str(max(12, round(seconds / 0.3))), "--duration", str(seconds), "--out", "none", "--csv", "-",
                          "--quiet"],
                         port, seconds, {"FABMARK_TOKEN": "only for this comparison", "HOME": "/tmp"})
        row = list(csv.DictReader(out.splitlines()))[0]
        if row["status"] != "ok":
            raise Failure(row["reason"])
        return row

    def latency(self, place, test, seconds):
        row = self.row(place, test, 8, 1, seconds)
        return {"mean": float(row["lat_mean_us"]), "p50": float(row["lat_p50_us"])}

    def bandwidth(self, place, test, size, queue_pairs, seconds):
        row = self.row(place, test, size, queue_pairs, seconds)
        return float(row["bw_gbps"]), float(row["msg_rate_per_s"])


class FabmarkAgain(Fabmark):
    """The same program once more in each round: how far the machine alone moves a ratio."""

    name = "fabmark again"


class Perftest(Tool):
    """
    Told how many operations, for by --duration it gives no percentiles and leaves out a part: as many as the last run
    lets expect. Latency is half a round trip of writes and sends, a whole one of reads and atomics, as fabmark has it.
    It sends nothing inline in bandwidth tests, and takes no other word for it from these devices.
    """

    name, program, package = "perftest", "ib_write_bw", "perftest"

    def __init__(self):
        super().__init__()
        self.us = {}    # of an operation, by what was run

    def run(self, place, program, size, count, *extra):
        """Where it does not come to terms with the clock, as on a busy machine, its times are infinite or its rates 0."""
        for _ in range(TRIES):
            cells = self.once(place, program, size, count, *extra)
            if all(math.isfinite(cell) for cell in cells) and cells[3] > 0:
                return cells
        raise Failure(f"it cannot tell the time, {TRIES} times in a row")

    def once(self, place, program, size, count, *extra):
        port = place.next_port()
        words = [program, "-d", DEVICE, "-x", GID_INDEX, "-F", "-p", str(port), "-s", str(size), "-n", str(count), *extra]
        if program == "ib_atomic_lat":
            at = words.index("-s")
            del words[at:at + 2]
        out = place.talk(words, [*words, B], port, 10)
        rows = [line.split() for line in out.splitlines()]
        at = max((number for number, cells in enumerate(rows) if cells and cells[0].startswith("#bytes")), default=None)
        if at is None or at + 1 >= len(rows):
            raise Failure(f"its output has no row of figures: {out.strip()[-200:]}")
        return [float(cell.split("=")[-1]) for cell in rows[at + 1][:6]]

    def counted(self, key, seconds, guess_us):
        return max(200, int(seconds * 1e6 / self.us.get(key, guess_us)))

    def latency(self, place, test, seconds):
        # Columns: bytes, iterations, least, greatest, typical (the median), average.
        cells = self.run(place, LATENCIES[test], 8, self.counted(test, seconds, 200))
        self.us[test] = cells[5] * (2 if test in ("write_lat", "send_lat") else 1)
        return {"mean": cells[5], "p50": cells[4]}

    def bandwidth(self, place, test, size, queue_pairs, seconds):
        # Columns: bytes, iterations, peak, average in Gb/s, millions of messages a second.
        key = test, size, queue_pairs
        count = self.counted(key, seconds, 400 if size > 4096 else 150)
        cells = self.run(place, BANDWIDTHS[test], size, max(200, count // queue_pairs), "-q", str(queue_pairs), "-N",
                         "--report_gbits")
        self.us[key] = 1 / cells[4]
        return cells[3], cells[4] * 1e6


# ---- the tests ----


def tests_of(peers, place, seconds):
    def latency(test):
        return lambda peer: peer.latency(place, test, seconds)

    def bandwidth(test):
        return lambda peer: {"rate": peer.bandwidth(place, test, BANDWIDTH_BYTES, 1, seconds)[0]}

    def rate(queue_pairs):
        return lambda peer: {"rate": peer.bandwidth(place, "write_bw", 8, queue_pairs, seconds)[1] / 1e3}

    tests = [Test(f"{test} 8 B", "us", peers, latency(test), 1.0, "less") for test in LATENCIES]
    tests += [Test(f"{test} 64 KiB", "Gb/s", peers, bandwidth(test), 1.0, "more") for test in BANDWIDTHS]
    tests += [Test(f"write_bw 8 B, {n} queue pair{'s' if n > 1 else ''}", "thousand/s", peers, rate(n), 1.0, "more")
              for n in RATE_QUEUE_PAIRS]
    return tests


def peers_of():
    return [Fabmark(), FabmarkAgain(), Perftest()]
