"""What is measured in turn, how often it was disturbed, and what is told of it: of peers of any kind."""

import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "build/release/fabmark")
FOREIGN_MAX = 0.05  # of the CPUs' time that others may have during a measurement


class Failure(Exception):
    """What did not work, in words."""


class Usage(Failure):
    """A command line that makes no sense on this machine."""


def sh(*words):
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        raise Failure(f"{' '.join(words)}: {result.stderr.strip()}")


def found(pattern, text):
    match = re.search(pattern, text)
    if not match:
        raise Failure(f"its output has no {pattern!r}")
    return float(match[1])


# ---- peers ----


class Peer:
    package = ""
    note = ""

    def __init__(self):
        self.version = ""

    def present(self):
        """Fills in the version; a Failure says what is missing."""

    def latency(self, place, size, seconds):
        raise NotImplementedError

    def bandwidth(self, place, streams, seconds):
        raise NotImplementedError


class Tool(Peer):
    """A program from a package."""

    program = ""

    def present(self):
        if not shutil.which(self.program):
            raise Failure(f"{self.program} is missing: apt-get install {self.package}")
        result = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", self.package], capture_output=True, text=True,
                                check=False)
        self.version = result.stdout if result.returncode == 0 else "?"


class Counted(Tool):
    """A program that is told how many round trips, not how long: as many as the last run lets expect."""

    def __init__(self):
        super().__init__()
        self.us = {}

    def operations(self, size, seconds):
        return max(1000, int(seconds * 1e6 / (2 * self.us.get(size, 50))))

    def learn(self, size, figures):
        self.us[size] = figures["mean"]
        return figures


# ---- the tests ----


class Test:
    """What is measured in turn, and how a figure of ours stands to a peer's."""

    def __init__(self, title, unit, peers, measure, goal, better):
        self.title, self.unit, self.peers, self.measure, self.goal, self.better = title, unit, peers, measure, goal, better
        self.figures = {}       # (peer, kind): [value of each round, or None]

    def record(self, number, peer, values):
        for kind, value in values.items():
            series = self.figures.setdefault((peer, kind), [])
            series.extend([None] * (number - len(series)))
            series.append(value)


def both(ours, theirs):
    return [(a, b) for a, b in zip(ours, theirs) if a is not None and b is not None]


def ratios(test, peer, kind):
    """Ours by the peer's, round by round."""
    return [a / b for a, b in both(test.figures.get(("fabmark", kind), []), test.figures.get((peer, kind), []))]


def spread(values, form):
    if len(values) == 1:
        return form % values[0]
    return f"{form % statistics.median(values)} ({form % min(values)}..{form % max(values)})"


def rows_of(test, versions):
    """[test, kind, program, version, figure, ratio] of each program; then the fastest peer's sentence."""
    rows, sentences = [], []
    for kind in ("p50", "mean", "rate"):
        known = {peer: [v for v in values if v is not None] for (peer, k), values in test.figures.items() if k == kind}
        known = {peer: values for peer, values in known.items() if values}
        for peer, values in known.items():
            own = ratios(test, peer, kind)
            rows.append([test.title, kind, peer, versions[peer], spread(values, "%.2f") + " " + test.unit,
                         "" if peer == "fabmark" or not own else spread(own, "%.3f")])
        others = {peer: statistics.median(values) for peer, values in known.items() if not peer.startswith("fabmark")}
        if "fabmark" not in known or not others:
            continue
        fastest = (min if test.better == "less" else max)(others, key=others.get)
        own = ratios(test, fastest, kind)
        if own:
            ratio = statistics.median(own)
            good = ratio <= test.goal if test.better == "less" else ratio >= test.goal
            even = ratio <= 1 if test.better == "less" else ratio >= 1
            sentences.append(f"{test.title}, {kind}: fabmark / {fastest} (the fastest) = {spread(own, '%.3f')}; goal "
                             f"{'<=' if test.better == 'less' else '>='} {test.goal:g}: "
                             f"{'reached' if good else 'not reached, but not slower' if even else 'SLOWER'}")
    return rows, sentences


# ---- what is told ----


def read(path, otherwise=""):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return otherwise


def machine():
    cpuinfo = read("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "not shown")
    return [f"CPU: {model[1] if model else os.uname().machine}, {os.cpu_count()} of them"
            f"{', in a virtual machine' if ' hypervisor' in cpuinfo else ''}; frequency governor: {governor}",
            f"kernel: {os.uname().sysname} {os.uname().release}"]


def markdown(rows):
    head = ["test", "figure", "program", "version", "median of rounds (low..high)", "fabmark / it, median (low..high)"]
    return ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows]]


class Report:
    """
    place: words() say where it runs, own_user_s() how much CPU time in user mode what it started has had. beside: what
    else is measured once a round: measure(), which may fail, and sentences().
    """

    def __init__(self, options, place, tests, peers, missing, beside):
        self.options, self.place, self.tests, self.missing, self.beside = options, place, tests, missing, beside
        self.versions = {peer.name: peer.version for peer in peers}
        self.notes = [f"{peer.name}: {peer.note}" for peer in peers if peer.note]
        self.failures, self.rounds = [], 0
        self.began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        self.shares = []    # of the CPUs that others had during each measurement

    def text(self):
        rows, sentences = [], []
        for test in self.tests:
            own_rows, own_sentences = rows_of(test, self.versions)
            rows += own_rows
            sentences += own_sentences
        for other in self.beside:
            sentences += other.sentences()
        lines = [f"{self.began}: {self.rounds} rounds of {self.options.seconds:g} s a program and test, in turn.", ""]
        lines += [f"- {line}" for line in machine() + self.place.words()]
        disturbed = sum(share > FOREIGN_MAX for share in self.shares)
        lines += [f"- others had more than {FOREIGN_MAX:.0%} of the CPUs' time during {disturbed} of {len(self.shares)} "
                  f"measurements (most: {max(self.shares, default=0):.0%})"]
        lines += [f"- missing: {line}" for line in self.missing] + [f"- {line}" for line in self.notes]
        lines += [f"- failed: {line}" for line in self.failures]
        return "\n".join(lines + ["", *markdown(rows), "", *[f"- {line}" for line in sentences]])

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "compare.md"), "w") as file:
            file.write(self.text() + "\n")
        with open(os.path.join(folder, "compare.csv"), "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["test", "figure", "unit", "program", "version", "round", "value"])
            for test in self.tests:
                for (peer, kind), values in test.figures.items():
                    writer.writerows([test.title, kind, test.unit, peer, self.versions[peer], number + 1, value]
                                     for number, value in enumerate(values) if value is not None)


def user_s():
    """CPU seconds in user mode of everybody, stolen ones included."""
    cells = [int(cell) for cell in read("/proc/stat").split("\n")[0].split()[1:]]
    # user, nice and steal. Time in the kernel is left out: what softirqs do there belongs to no process.
    return (cells[0] + cells[1] + cells[7]) / os.sysconf("SC_CLK_TCK")


class Foreign:
    """The share of the machine's CPUs that others had since the last look."""

    def __init__(self, place):
        self.place = place
        self.at, self.all, self.own = time.monotonic(), user_s(), place.own_user_s()

    def look(self):
        before = self.at, self.all, self.own
        self.__init__(self.place)
        elapsed = max(self.at - before[0], 1e-3)
        return max(0.0, (self.all - before[1] - (self.own - before[2])) / elapsed / os.cpu_count())


def wait_for_quiet(place, limit_s):
    """Until others leave the CPUs alone for half a second, or the time is up."""
    deadline, foreign = time.monotonic() + limit_s, Foreign(place)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        if foreign.look() <= FOREIGN_MAX:
            return


def undisturbed(report, test, peer):
    """The figures of a run during which others had little CPU time; after some tries, those of the quietest run."""
    best = None
    for _ in range(report.options.tries):
        wait_for_quiet(report.place, report.options.wait)
        foreign = Foreign(report.place)
        values = test.measure(peer)
        share = foreign.look()
        if best is None or share < best[0]:
            best = share, values
        if share <= FOREIGN_MAX:
            break
    report.shares.append(best[0])
    return best[1]


def measure(report, number):
    for test in report.tests:
        # Each round begins with another one, so that none is always behind the same.
        turn = number % len(test.peers) if test.peers else 0
        for peer in test.peers[turn:] + test.peers[:turn]:
            try:
                values = undisturbed(report, test, peer)
                print(f"round {number + 1}: {test.title}: {peer.name}: "
                      f"{', '.join(f'{kind} {value:.2f} {test.unit}' for kind, value in values.items())}", file=sys.stderr)
                test.record(number, peer.name, values)
            except (Failure, ValueError, KeyError, IndexError) as why:
                report.failures.append(f"round {number + 1}, {test.title}, {peer.name}: {why}")
                print(report.failures[-1], file=sys.stderr)
    for other in report.beside:
        try:
            other.measure()
        except Failure as why:
            report.failures.append(f"round {number + 1}, {other.name}: {why}")
    report.rounds = number + 1


def study(options, place, peers, tests_of, beside):
    """Rounds of everything, told at the end and, round by round, to --out; the exit status."""
    present, missing = [], []
    for peer in peers:
        try:
            peer.present()
            present.append(peer)
        except Failure as why:
            if peer.name == "fabmark":
                raise
            missing.append(str(why))
    known = tests_of(present, place, options.seconds)
    tests = [test for test in known if re.search(options.only, test.title)]
    if not tests:
        raise Usage(f"--only '{options.only}': no test has it; there are {', '.join(test.title for test in known)}")
    report = Report(options, place, tests, present, missing, beside)
    status = 0
    try:
        for number in range(options.rounds):
            measure(report, number)
            if options.out:
                report.write(options.out)
    except KeyboardInterrupt:
        status = 130
        print("interrupted; what was measured until then:", file=sys.stderr)
    if options.out:
        report.write(options.out)
    print(report.text())
    return status
