"""One server, one client and one fault between them: what both must do about it."""

import itertools
import os
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from fabmark import PROGRAM, SANITIZED, Folder, read, rows

TESTING = os.environ["FABMARK_TESTING"]


class Points:
    """What is measured around a fault: three short points, so that there is one before it and one after it."""

    def __init__(self, sizes, directions, figure, *arguments):
        self.sizes, self.directions, self.figure = sizes.split(","), directions, figure
        self.arguments = [*arguments, "--size", sizes]


LATENCY = Points("8,16,32", ["a_to_b"], "lat_p50_us", "--transport", "null", "--test", "send_lat", "-n", "100",
                 "--repetitions", "2")
# Both ends drive over a data path that carries payload; each point passes twice, the second time to be verified.
BOTH = Points("4096,8192,16384", ["a_to_b", "b_to_a", "both"], "bw_gbps", "--transport", "tcp", "--test", "send_bw",
              "--bidirectional", "--verify", "--events", "-n", "200", "--repetitions", "1")
# Each of these faults must be over in so many seconds: noticing a silent peer takes 3.5, an unanswered handshake 4, a data
# path on which nothing moves 4.5, a dead peer no time.
WITHIN = 5 * (3 if SANITIZED else 1)


def await_true(what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.01)
    return False


def stopped(process):
    """Did it stop itself? Also true where it is gone, so that nobody waits for what cannot come."""
    try:
        return read(f"/proc/{process.pid}/stat").rsplit(")", 1)[1].split()[0] in "TZ"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Listener:
    """Reads what a process says on stderr while it lives, so that it never waits for us."""

    def __init__(self, process):
        self.process, self.lines = process, []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        for line in self.process.stderr:
            self.lines.append((time.monotonic(), line))

    @property
    def text(self):
        return "".join(line for _, line in self.lines)

    def when(self, words):
        """When it first said so; None: it has not."""
        return next((at for at, line in self.lines if re.search(words, line)), None)


class Case:
    """One server, one client, one fault; keeps what went wrong in .wrong."""

    def __init__(self, test, name, points=LATENCY):
        self.test, self.name, self.points, self.wrong = test, name, points, []
        self.csv = f"{test.folder}/{name.replace(' ', '-').replace(':', '-')}.csv"

    def check(self, true, *what):
        if not true:
            self.wrong.append(f"{self.name}: {' '.join(str(w) for w in what)}")
        return true

    def start(self, cue_client="", cue_server="", port=None, extra=(), environments={}):
        """port: from the server's port to the one that the client is given."""
        self.server, self.port = self.test.server({**environments.get("server", self.test.env), "FABMARK_CUE": cue_server})
        self.log = Listener(self.server)
        self.client = self.test.launch({**environments.get("client", self.test.env), "FABMARK_CUE": cue_client}, "pair", "127.0.0.1", "--port",
                                       port(self.port) if port else self.port, *self.points.arguments, "--csv", self.csv,
                                       "--out", "none", "--quiet", *extra)
        self.said = Listener(self.client)

    def client_ends(self, statuses, since):
        """Ends in time after since(), with one of these statuses and a sentence unless it was 0."""
        try:
            self.client.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.check(False, "the client did not end:", self.said.text)
            self.client.kill()
            return
        took = time.monotonic() - since()
        self.said.thread.join(timeout=10)
        self.check(self.client.returncode in statuses, "the client's status", self.client.returncode, self.said.text)
        self.check(took < WITHIN, f"the client took {took:.1f} s:", self.said.text)
        if self.client.returncode:
            self.check(self.said.text.startswith("fabmark: ") and self.said.text.count("\n") == 1, "the client said",
                       repr(self.said.text))

    def whole_rows(self):
        """The first row of each point, when all its rows are whole and alike."""
        text = read(self.csv) if os.path.exists(self.csv) else ""
        found = rows(text)
        self.check(text == "" or text.endswith("\n"), "a broken row")
        self.check(all(None not in row and None not in row.values() for row in found), "rows of another length")
        for row in found:
            self.check(row["status"] == "ok" or (row["reason"] and row["reason_code"]), "no reason in", row)
            self.check(row["status"] != "ok" or row[self.points.figure], "no figure in", row)
        points = [list(group) for _, group in itertools.groupby(found, lambda row: row["size_bytes"])]
        for point in points:
            self.check([row["direction"] for row in point] == self.points.directions, "rows for",
                       [row["direction"] for row in point])
            self.check(len({row["status"] for row in point}) == 1, "a point that is not of one mind", point)
        return [point[0] for point in points]

    def rows_are(self, measured, all_points=True, planned=True, kept=False):
        """So many points were measured before the fault; each other point has a row, too, once it was planned. kept: the one
        that it met had its figures already."""
        found = self.whole_rows()
        if not planned and not found:
            return
        self.check([row["size_bytes"] for row in found] == (self.points.sizes if all_points else self.points.sizes[:measured]),
                   "rows for", [row["size_bytes"] for row in found])
        status = [row["status"] for row in found]
        self.check(status[:measured] == ["ok"] * measured and "ok" not in status[measured + 1:], "rows are", status)
        if kept and all_points:
            self.check(found[measured:] and found[measured][self.points.figure], "the figures were not kept:", found[measured:])

    def rows_are_in_order(self):
        """What was measured, then what was not; their status."""
        found = self.whole_rows()
        status = [row["status"] for row in found]
        self.check([row["size_bytes"] for row in found] == self.points.sizes[:len(found)], "rows for",
                   [row["size_bytes"] for row in found])
        self.check(re.fullmatch("(ok )*(failed )?(skipped )*", " ".join(status + [""])), "rows are", status)
        return status

    def server_says(self, words, since):
        if self.check(await_true(lambda: self.log.when(words), 20), "the server did not say it:", self.log.text):
            self.check(self.log.when(words) - since < WITHIN, "the server took long to say it:", self.log.text)

    def server_goes_on(self):
        """It measures with the next client."""
        again = self.test.launch(self.test.env, "pair", "127.0.0.1", "--port", self.port, *self.points.arguments, "--size",
                                 self.points.sizes[0], "--csv", "-", "--out", "none", "--quiet", program=PROGRAM)
        out, err = again.communicate(timeout=60)
        self.check(again.returncode == 0 and {r["status"] for r in rows(out)} == {"ok"}, "the next client:", err, self.log.text)
        self.check(self.server.poll() is None, "the server is gone:", self.log.text)


class Faults(Folder):
    def setUp(self):
        super().setUp()
        # What stands in the environment is not made by many servers at once.
        self.env["FABMARK_TOKEN"] = "0123456789abcdef0123456789abcdef"

    def launch(self, environment, *arguments, program=TESTING, **options):
        process = subprocess.Popen([program, *arguments], cwd=self.folder, env=environment, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.processes.append(process)
        return process

    def server(self, environment, port="0"):
        reader, writer = os.pipe()
        server = self.launch(environment, "serve", "--port", port, "--address", "127.0.0.1", "--ready-fd", str(writer),
                             pass_fds=[writer])
        os.close(writer)
        with os.fdopen(reader) as ready:
            return server, ready.readline().strip()

    def each(self, run, cases, at_once=10):
        """run(case...) for each, several at a time: most of the time they wait."""
        with ThreadPoolExecutor(at_once) as pool:
            done = list(pool.map(lambda case: run(*case), cases))
        wrong = [text for case in done for text in case.wrong]
        self.assertFalse(wrong, "\n".join(wrong))

    def tearDown(self):
        for process in self.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):
                pipe.close()
