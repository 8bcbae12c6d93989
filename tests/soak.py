#!/usr/bin/env python3
"""Long runs against one server: sessions in a row, failures on cue in turn, and A/A pairs. ci/soak starts it."""

import argparse
import csv
import io
import math
import os
import random
import re
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
        self.said = open(os.path.join(folder, "stderr"), "w+")
        reader, writer = os.pipe()
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--ready-fd", str(writer)],
                                        pass_fds=[writer], env=self.environment, stdin=subprocess.DEVNULL,
                                        stderr=self.said)
        os.close(writer)
        with os.fdopen(reader) as ready:
            self.port = ready.readline().strip()
        if not self.port:
            self.process.wait(SESSION_S)
            raise Broken(self.last_words(f"the server does not start, exit status {self.process.returncode}"))

    def last_words(self, sentence):
        """The sentence, and what the server printed last."""
        self.said.seek(0)
        text = self.said.read().strip()[-500:]
        return f"{sentence}: {text}" if text else sentence

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
            raise Broken(self.last_words(f"the server ended with {self.process.returncode}"))
        if result.returncode != status:
            raise Broken(self.last_words(f"{' '.join(arguments)}: exit status {result.returncode}, not {status}: "
                                         f"{result.stderr.strip()[-300:]}; the server"))
        return list(csv.DictReader(io.StringIO(result.stdout)))

    def end(self):
        self.process.terminate()
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Broken("the server does not end when told to") from None
        if code:
            raise Broken(self.last_words(f"the server ended with {code} when told to end"))


def until(seconds):
    """A clock that says whether there is time left; None: for ever."""
    deadline = float("inf") if seconds is None else time.monotonic() + seconds
    return lambda: time.monotonic() < deadline


def interrupted():
    """What is told then is what there was until then; the exit status."""
    print("interrupted; what was measured until then:", file=sys.stderr)
    return 128 + signal.SIGINT


# ---- sessions in a row ----


def session(server, number):
    """As short as a session can be; tcp and null in turn."""
    transport = ("tcp", "null")[number % 2]
    server.pair("--transport", transport, "--test", "send_lat" if transport == "tcp" else "send_bw", "--size", "8", "--iterations",
                "100", "--repetitions", "1", "--duration", "0.01", "--quiet")


def slope(samples):
    """KiB a session: the median of the slopes between any two samples (Theil and Sen), which a few odd ones don't move."""
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(samples) for b in samples[i + 1:]]
    return statistics.median(pairs) if pairs else 0


def sessions(options):
    samples, began, done, status, broken = [], time.monotonic(), 0, 0, None
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
            if samples and samples[-1][0] < done:
                samples.append((done, server.use()))
        except KeyboardInterrupt:
            status = interrupted()
        except Broken as why:
            broken = why
        finally:
            server.end()
    print(f"{done} sessions in {time.monotonic() - began:.0f} s", end="")
    if len(samples) < 2:
        print(": too few to see whether anything grows")
    else:
        grows = tell_growth(samples)
        broken = broken or grows and Broken("the server keeps something of its sessions")
    if broken:
        raise broken
    return status


def tell_growth(samples):
    """Whether the server's use grew beyond what is allowed; says by how much."""
    first, last = samples[0][1], samples[-1][1]
    rss = [(number, use["rss"]) for number, use in samples]
    edge = max(1, len(rss) // 5)
    growth = statistics.median(kib for _, kib in rss[-edge:]) - statistics.median(kib for _, kib in rss[:edge])
    print(f"; after {samples[0][0]} and {samples[-1][0]}: "
          f"open files {first['files']} and {last['files']}, threads {first['threads']} and {last['threads']}, "
          f"anonymous RSS {first['rss']} and {last['rss']} KiB (growth of its median {growth:+.0f} KiB, {RSS_TOLERANCE_KIB} allowed; "
          f"slope {1024 * slope(rss):+.1f} bytes a session)")
    return last["files"] > first["files"] or last["threads"] > first["threads"] or growth > RSS_TOLERANCE_KIB


# ---- failures on cue, in turn ----


def faults(options):
    left, turns, done, first, status, broken = until(options.faults), 0, 0, None, 0, None
    with tempfile.TemporaryDirectory(prefix="fabmark-soak-") as folder:
        server = Server(folder)
        try:
            while turns == 0 or left():
                for script, expected in FAULTS:
                    server.pair("--transport", f"fault:tcp,{script}", "--test", "send_lat", "--size", "8", "--duration", "0.2",
                                status=expected)
                    session(server, 0)
                    done += 1
                turns += 1
                last = server.use()
                first = first or last
        except KeyboardInterrupt:
            status = interrupted()
        except Broken as why:
            broken = why
        finally:
            server.end()
    print(f"{done} failures in {turns} whole turns, each followed by a sound session", end="")
    if broken or turns < 2:
        print("; too few turns to see whether anything grows" if turns < 2 else "")
        if broken:
            raise broken
        return status
    print(f"; after the first turn and the last: open "
          f"files {first['files']} and {last['files']}, threads {first['threads']} and {last['threads']}, RSS {first['rss']} "
          f"and {last['rss']} KiB")
    if last["files"] > first["files"] or last["threads"] > first["threads"]:
        raise Broken("the server keeps something of failed sessions")
    return status


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
        print(f"{test}: in none of {len(pairs)} pairs have both runs an interval (fewer than six repetitions); give a longer "
              "--duration")
        return False
    missed = sum(a[2] < b[1] or b[2] < a[1] for a, b in both)
    outside = sum(not b[1] <= a[0] <= b[2] for a, b in both)
    differences = sorted(abs(a[0] / b[0] - 1) for a, b in both)
    widths = [(value[2] - value[1]) / 2 / value[0] for pair in both for value in pair]
    print(f"{test}: {missed} of {len(both)} pairs of intervals miss each other ({missed / len(both):.1%}; "
          f"{expected_miss(counts):.1%} if all repetitions of both runs were alike and independent); the first run's median "
          f"lies outside the second's interval in {outside}; medians differ by {statistics.median(differences):.2%} (median), "
          f"{differences[math.ceil(0.95 * len(differences)) - 1]:.2%} (19 of 20); half an interval is "
          f"{statistics.median(widths):.2%} (median); {len(pairs) - len(both)} of {len(pairs)} pairs left out, a run of which "
          f"has no interval (fewer than six repetitions)")
    return True


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
    began, status = time.monotonic(), 0
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
            status = interrupted()
        finally:
            server.end()
    busy, _ = foreign_busy(at)
    print(f"A/A: runs of {options.duration:g} s a test, messages of {options.size}{'' if options.size[-1].isdigit() else 'iB'}"
          f"{' bytes' if options.size[-1].isdigit() else ''}, tcp over the loopback, "
          f"{time.monotonic() - began:.0f} s in all; the CPUs were busy {busy:.0%} of the time, these runs included")
    told = [aa_report(test, pairs[test], counts[test]) for test in FIGURES]
    if status == 0 and not all(told):
        raise Broken("a test has nothing to compare")
    return status


def save(path, pairs):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["test", "pair", "run", "median", "low", "high"])
        for test, series in pairs.items():
            writer.writerows([test, number + 1, "ab"[run], *(values or ["", "", ""])]
                             for number, pair in enumerate(series) for run, values in enumerate(pair))


def count(text):
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"'{text}': a whole number is needed, 1 or more")
    return int(text)


def seconds_of(text):
    if not re.fullmatch(r"[0-9]{1,8}(\.[0-9]+)?", text) or float(text) <= 0:
        raise argparse.ArgumentTypeError(f"'{text}': seconds are needed, more than 0")
    return float(text)


def size(text):
    if not re.fullmatch("[1-9][0-9]{0,8}[KM]?", text):
        raise argparse.ArgumentTypeError(f"'{text}': one size is needed, such as 8 or 4K")
    return text


def parse():
    parser = argparse.ArgumentParser(
        prog="ci/soak", description=__doc__, allow_abbrev=False,
        usage="ci/soak --sessions [N] [--seconds S]\n       ci/soak --faults [SECONDS]\n"
              "       ci/soak --aa [N] [--duration S] [--size BYTES] [--csv FILE]")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--sessions", type=count, nargs="?", const=10000, metavar="N", help="so many (10000)")
    which.add_argument("--faults", type=seconds_of, nargs="?", const=600, metavar="SECONDS", help="for so long (600)")
    which.add_argument("--aa", type=count, nargs="?", const=100, metavar="N", help="so many pairs of runs (100)")
    parser.add_argument("--seconds", type=seconds_of, help="end --sessions after so long (when all are done)")
    parser.add_argument("--duration", type=seconds_of, help="of a test in an A/A run (0.6)")
    parser.add_argument("--size", type=size, help="of a message in an A/A run (4K)")
    parser.add_argument("--csv", metavar="FILE", help="the intervals of --aa go there (nowhere)")
    options = parser.parse_args()
    if options.seconds is not None and options.sessions is None:
        parser.error("--seconds belongs to --sessions")
    if options.aa is None and (options.duration or options.size or options.csv):
        parser.error("--duration, --size and --csv belong to --aa")
    options.duration, options.size = options.duration or 0.6, options.size or "4K"
    try:
        if options.csv:
            save(options.csv, {})
    except OSError as why:
        parser.error(f"--csv: {why}")
    return options


def main():
    options = parse()
    if not os.access(PROGRAM, os.X_OK):
        print(f"SKIP: {PROGRAM} is not built: cmake --preset release && cmake --build --preset release")
        return 77
    # The server is ended with us, whatever ends us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = sessions if options.sessions else faults if options.faults else aa
    try:
        return run(options)
    except Broken as why:
        print(f"FAILED: {why}")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
