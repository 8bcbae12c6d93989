#!/usr/bin/env python3
"""Long runs against one server: sessions in a row, failures on cue in turn, and A/A pairs. ci/soak starts it."""

import argparse
import csv
import io
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = os.environ.get("FABMARK", os.path.join(ROOT, "build/release/fabmark"))
SESSION_S = 60          # until a session is given up
SAMPLE_EVERY = 50       # sessions
# The heap's end moves in steps of 128 KiB (glibc: M_TRIM_THRESHOLD, M_TOP_PAD), one for the main thread's arena and one
# for the workers', so two looks at a server that keeps nothing may differ by as much.
RSS_TOLERANCE_KIB = 256
# What each failure on cue must come to (docs/faults.md): exit status of the run that has it.
FAULTS = [("fail@1000", 3), ("delay@0=1", 0), ("stall@1000", 3), ("corrupt@1000", 0), ("lose@1000", 3), ("open", 3),
          ("connect", 3), ("linger", 0), ("hang", 3)]


class Broken(Exception):
    """What must not happen in a long run, in words."""


class Server:
    """fabmark serve, whose use of the system is looked at while no session runs."""

    def __init__(self, folder):
        self.environment = dict(os.environ, FABMARK_TOKEN="only for this long run", HOME=folder)
        reader, writer = os.pipe()
        self.process = subprocess.Popen([PROGRAM, "serve", "--quiet", "--port", "0", "--ready-fd", str(writer)],
                                        pass_fds=[writer], env=self.environment, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader) as ready:
            self.port = ready.readline().strip()
        if not self.port:
            raise Broken("the server does not start")

    def use(self):
        """{"rss": KiB, "files": n, "threads": n}, when the last session's have gone."""
        folder = f"/proc/{self.process.pid}"
        for _ in range(20):
            if len(os.listdir(folder + "/task")) == 1:
                break
            time.sleep(0.05)
        with open(folder + "/status") as file:
            status = dict(line.split(":", 1) for line in file)
        return {"rss": int(status["RssAnon"].split()[0]), "files": len(os.listdir(folder + "/fd")),
                "threads": int(status["Threads"])}

    def pair(self, *arguments, status=0):
        """Runs a session; its rows."""
        command = [PROGRAM, "pair", "127.0.0.1", "--port", self.port, "--out", "none", "--csv", "-", *arguments]
        try:
            result = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=SESSION_S, check=False)
        except subprocess.TimeoutExpired:
            raise Broken(f"{' '.join(arguments)}: no end after {SESSION_S} s") from None
        if self.process.poll() is not None:
            raise Broken(f"the server ended with {self.process.returncode}")
        if result.returncode != status:
            raise Broken(f"{' '.join(arguments)}: exit status {result.returncode}, not {status}: {result.stderr.strip()[-300:]}")
        return list(csv.DictReader(io.StringIO(result.stdout)))

    def end(self):
        self.process.terminate()
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Broken("the server does not end when told to") from None
        if code:
            raise Broken(f"the server ended with {code} when told to end")


def until(seconds):
    """A clock that says whether there is time left; 0: for ever."""
    deadline = time.monotonic() + seconds if seconds else float("inf")
    return lambda: time.monotonic() < deadline


# ---- sessions in a row ----


def session(server, number):
    """As short as a session can be; tcp and null in turn."""
    transport = ("tcp", "null")[number % 2]
    server.pair("--transport", transport, "--test", "send_lat" if transport == "tcp" else "bw", "--size", "8", "--iterations",
                "100", "--repetitions", "1", "--duration", "0.01", "--quiet")


def slope(samples):
    """KiB a session: the median of the slopes between any two samples (Theil and Sen), which a few odd ones don't move."""
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(samples) for b in samples[i + 1:]]
    return statistics.median(pairs) if pairs else 0


def sessions(options):
    samples, began, done = [], time.monotonic(), 0
    warm_up = min(200, options.sessions // 4)
    left = until(options.seconds)
    with tempfile.TemporaryDirectory(prefix="fabmark-soak-") as folder:
        server = Server(folder)
        try:
            while done < options.sessions and (left() or done < warm_up + 2 * SAMPLE_EVERY):
                session(server, done)
                done += 1
                if done >= warm_up and ((done - warm_up) % SAMPLE_EVERY == 0 or done == options.sessions):
                    samples.append((done, server.use()))
        finally:
            server.end()
    first, last = samples[0][1], samples[-1][1]
    rss = [(number, use["rss"]) for number, use in samples]
    edge = max(1, len(rss) // 5)
    growth = statistics.median(kib for _, kib in rss[-edge:]) - statistics.median(kib for _, kib in rss[:edge])
    print(f"{done} sessions in {time.monotonic() - began:.0f} s; after {samples[0][0]} and at the end: "
          f"open files {first['files']} and {last['files']}, threads {first['threads']} and {last['threads']}, "
          f"anonymous RSS {first['rss']} and {last['rss']} KiB (growth of its median {growth:+.0f} KiB, {RSS_TOLERANCE_KIB} allowed; "
          f"slope {1024 * slope(rss):+.1f} bytes a session)")
    if last["files"] > first["files"] or last["threads"] > first["threads"] or growth > RSS_TOLERANCE_KIB:
        raise Broken("the server keeps something of its sessions")


# ---- failures on cue, in turn ----


def faults(options):
    left, turns, first = until(options.faults), 0, None
    with tempfile.TemporaryDirectory(prefix="fabmark-soak-") as folder:
        server = Server(folder)
        try:
            while turns == 0 or left():
                for script, status in FAULTS:
                    server.pair("--transport", f"fault:tcp,{script}", "--test", "send_lat", "--size", "8", "--duration", "0.2",
                                status=status)
                    session(server, 0)
                turns += 1
                last = server.use()
                first = first or last
        finally:
            server.end()
    print(f"{turns} turns of {len(FAULTS)} failures, each followed by a sound session; after the first and the last: open "
          f"files {first['files']} and {last['files']}, threads {first['threads']} and {last['threads']}, RSS {first['rss']} "
          f"and {last['rss']} KiB")
    if last["files"] > first["files"] or last["threads"] > first["threads"]:
        raise Broken("the server keeps something of failed sessions")


# ---- A/A ----


FIGURES = {"send_lat": ("lat_p50_us", "lat_p50_low_us", "lat_p50_high_us"), "send_bw": ("bw_gbps", "bw_low_gbps", "bw_high_gbps")}


def ranks(n):
    """The lower rank of the 95% interval of a median (docs/method.md)."""
    total, ways, below = 2 ** n, 1, 0
    rank = 0
    while below + ways <= total * 0.025:
        below += ways
        rank += 1
        ways = ways * (n - rank + 1) // rank
    return rank


def expected_miss(counts, trials=20000):
    """How often two intervals of independent, equally distributed repetitions miss each other; the counts as measured."""
    source, missed = random.Random(1), 0
    for _ in range(trials):
        a, b = (sorted(source.random() for _ in range(n)) for n in source.choice(counts))
        i, j = ranks(len(a)), ranks(len(b))
        missed += a[-i] < b[i - 1] or b[-j] < a[j - 1]
    return missed / trials


def interval(row, names):
    values = [float(row[name]) if row[name] else None for name in names]
    return None if None in values else values


def aa_report(test, pairs, counts):
    whole = [(pair, count) for pair, count in zip(pairs, counts) if all(pair)]
    both, counts = [pair for pair, _ in whole], [count for _, count in whole]
    if not both:
        raise Broken(f"{test}: no pair of runs has an interval; give a longer --duration")
    missed = sum(a[2] < b[1] or b[2] < a[1] for a, b in both)
    outside = sum(not b[1] <= a[0] <= b[2] for a, b in both)
    differences = sorted(abs(a[0] / b[0] - 1) for a, b in both)
    widths = [(value[2] - value[1]) / 2 / value[0] for pair in both for value in pair]
    print(f"{test}: {missed} of {len(both)} pairs of intervals miss each other ({missed / len(both):.1%}; "
          f"{expected_miss(counts):.1%} if all repetitions of both runs were alike and independent); the first run's median "
          f"lies outside the second's interval in {outside}; medians differ by {statistics.median(differences):.2%} (median), "
          f"{differences[int(0.95 * (len(differences) - 1))]:.2%} (19 of 20); half an interval is "
          f"{statistics.median(widths):.2%} (median)")


def foreign_busy(before):
    """All CPU time but idle since then, as a share; and now's counters."""
    with open("/proc/stat") as file:
        cells = [int(cell) for cell in file.readline().split()[1:9]]
    if before is None:
        return 0, cells
    spent = [b - a for a, b in zip(before, cells)]
    return 1 - (spent[3] + spent[4]) / max(1, sum(spent)), cells


def aa(options):
    pairs = {test: [] for test in FIGURES}
    counts = {test: [] for test in FIGURES}
    began = time.monotonic()
    _, at = foreign_busy(None)
    with tempfile.TemporaryDirectory(prefix="fabmark-soak-") as folder:
        server = Server(folder)
        try:
            for number in range(options.aa):
                runs = [{row["test"]: row for row in server.pair("--transport", "tcp", "--test", ",".join(FIGURES), "--size",
                                                                 options.size, "--duration", str(options.duration), "--quiet")}
                        for _ in range(2)]
                for test, names in FIGURES.items():
                    pairs[test].append(tuple(interval(run[test], names) for run in runs))
                    counts[test].append(tuple(int(run[test]["repetitions"]) for run in runs))
                if options.csv:
                    save(options.csv, pairs)
                if number % 10 == 9:
                    print(f"{number + 1} pairs", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted; what was measured until then:", file=sys.stderr)
        finally:
            server.end()
    busy, _ = foreign_busy(at)
    print(f"A/A: runs of {options.duration:g} s a test, {options.size} B, tcp over the loopback, "
          f"{time.monotonic() - began:.0f} s in all; the CPUs were busy {busy:.0%} of the time, these runs included")
    for test in FIGURES:
        aa_report(test, pairs[test], counts[test])


def save(path, pairs):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["test", "pair", "run", "median", "low", "high"])
        for test, series in pairs.items():
            writer.writerows([test, number + 1, "ab"[run], *(values or ["", "", ""])]
                             for number, pair in enumerate(series) for run, values in enumerate(pair))


def main():
    parser = argparse.ArgumentParser(prog="ci/soak", description=__doc__)
    parser.add_argument("--sessions", type=int, metavar="N")
    parser.add_argument("--faults", type=float, metavar="SECONDS")
    parser.add_argument("--aa", type=int, metavar="N")
    parser.add_argument("--seconds", type=float, default=0, help="end --sessions after so long (0: when all are done)")
    parser.add_argument("--duration", type=float, default=0.6, help="of a test in an A/A run (0.6)")
    parser.add_argument("--size", default="4K", help="of a message in an A/A run (4K)")
    parser.add_argument("--csv", default="", metavar="FILE", help="the intervals of --aa go there")
    options = parser.parse_args()
    if not os.access(PROGRAM, os.X_OK):
        print(f"SKIP: {PROGRAM} is not built")
        return 77
    # The server is ended with us, whatever ends us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for wanted, run in ((options.sessions, sessions), (options.faults, faults), (options.aa, aa)):
            if wanted:
                run(options)
    except Broken as why:
        print(f"FAILED: {why}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
