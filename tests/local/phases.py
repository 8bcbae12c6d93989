#!/usr/bin/env python3
"""A node that dies, hangs or is told to end in each phase of a run: both sides end in time and in words, rows that were
measured stay whole, and the server serves the next client."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import main  # noqa: E402
from faults import BOTH, LATENCY, WITHIN, Case, Faults, await_true, stopped  # noqa: E402

# What a side is about to do when it stops: FABMARK_CUE for it, and how many points had been measured by then.
CLIENT = {
    "hello": (">hello", 0), "offer": (">offer", 0), "plan": (">plan", 0), "noise": (">noise", 0),
    "first point": (">point", 0), "point": (">point >point", 1), "first arm": (">point >point >arm", 1),
    "warming up": (">point >point >arm >arm >arm", 1), "done": (">point >point >arm >done", 1),
    "its settling": (">point >point <done", 1), "close": (">point >point >close", 1), "closed": (">point >point <closed", 1),
    "quiet": (">point >point >quiet", 1), "between points": (">point >quiet >point >quiet >point", 2),
    "last noise": (">noise >noise", 3), "bye": (">bye", 3),
}
SERVER = {
    "hello": (">hello", 0), "offer": (">offer", 0), "plan": ("<plan", 0), "planned": (">planned", 0), "noise": (">noise", 0),
    "first point": ("<point", 0), "addresses": (">addresses >addresses", 1), "connected": (">connected >connected", 1),
    "armed": (">addresses >addresses >armed", 1), "measuring": ("<point <point <arm <done", 1),
    "done": (">addresses >addresses >done", 1), "warming up": (">addresses >addresses >armed >armed >armed", 1),
    "closed": (">addresses >closed >closed", 1), "quiet": ("<quiet <quiet", 1), "last noise": (">noise >noise", 3),
    "bye": ("<bye", 3),
}
# No rows are owed before it is known which points there are.
UNPLANNED = ("hello", "offer", "plan", "planned")
# The same where both ends drive and the payload is verified: the second point, after both passes of the first one.
CLIENT_BOTH = {
    "clock": (">point >point >point >clock", 1), "another clock": (">point >point >point >clock >clock >clock >clock", 1),
    "clock answered": (">point >point >point <clock", 1), "go": (">point >point >point >go", 1),
    "through": (">point >point >point <through", 1), "windows": (">point >point >point >done", 1),
    "what moved": (">point >point >point <done", 1), "verify": (">point >point >point >point", 1),
    "verify go": (">point >point >point >point >go", 1),
    "verify through": (">point >point >point >point <through", 1), "verify done": (">point >point >point >point <done", 1),
    "verify close": (">point >point >point >point >close", 1), "verify quiet": (">point >point >point >point >quiet", 1),
}
SERVER_BOTH = {
    "clock": ("<point <point <point >clock", 1), "clock asked": ("<point <point <point <clock <clock", 1),
    "go": ("<point <point <point <go", 1), "through": ("<point <point <point >through", 1),
    "windows": ("<point <point <point <done", 1), "what moved": ("<point <point <point >done", 1),
    "verify": ("<point <point <point <point", 1), "verify addresses": ("<point <point <point <point >addresses", 1),
    "verify armed": ("<point <point <point <point >armed", 1), "verify go": ("<point <point <point <point <go", 1),
    "verify through": ("<point <point <point <point >through", 1), "verify done": ("<point <point <point <point >done", 1),
    "verify closed": ("<point <point <point <point >closed", 1),
}
ENDS = (signal.SIGINT, signal.SIGTERM)


def half(phases):
    """Each phase with SIGINT or SIGTERM in turn."""
    return [(phase, ENDS[i % 2]) for i, phase in enumerate(phases)]


class Phases(Faults):
    def meets(self, side, phase, cue, number, points):
        """A case whose client or server has come to its phase and got the signal; and when that was."""
        case = Case(self, f"{side} {phase} {number.name}", points)
        case.start(**{f"cue_{side}": cue})
        process = getattr(case, side)
        if not case.check(await_true(lambda: stopped(process)) and process.poll() is None, "never came to it",
                          case.said.text, case.log.text):
            return case, None
        since = time.monotonic()
        if number != signal.SIGSTOP:
            os.kill(process.pid, number)
        if number in ENDS:
            os.kill(process.pid, signal.SIGCONT)
        return case, since

    def client_meets(self, phase, number, points=LATENCY):
        cue, measured = (CLIENT_BOTH if points is BOTH else CLIENT)[phase]
        case, since = self.meets("client", phase, cue, number, points)
        if since is None:
            return case
        # Told to end when all is measured, it may end as if nothing had been said.
        over = measured == 3 and number in ENDS
        if number in ENDS:
            case.client_ends([128 + number] + [0] * over, lambda: since)
        elif number == signal.SIGKILL:
            case.client.wait()
        case.server_says("client 127.0.0.1", since)
        case.server_says("is through" if over else "failed: ", since)
        case.server_goes_on()
        if number == signal.SIGSTOP:
            case.client.kill()
            case.client.wait()
        # What is dead or hangs writes no rows for what it did not measure.
        case.rows_are(measured, all_points=number in ENDS, planned=phase not in UNPLANNED, kept=phase.startswith("verify"))
        return case

    def server_meets(self, phase, number, points=LATENCY):
        cue, measured = (SERVER_BOTH if points is BOTH else SERVER)[phase]
        case, since = self.meets("server", phase, cue, number, points)
        if since is None:
            return case
        if number in ENDS:
            case.server.wait(timeout=30)
            case.check(case.server.returncode == 0, "the server's status", case.server.returncode)
            case.check(time.monotonic() - since < WITHIN, "the server took too long to end")
        # When all was measured, nothing is missing that the client had to say.
        case.client_ends([0] if measured == 3 else [3], lambda: since)
        if number == signal.SIGSTOP:
            os.kill(case.server.pid, signal.SIGCONT)
            case.server_says("is through" if measured == 3 else "failed: ", since)
            case.server_goes_on()
        case.rows_are(measured, planned=phase not in UNPLANNED, kept=phase.startswith("verify"))
        return case

    def test_client_killed(self):
        self.each(self.client_meets, [(phase, signal.SIGKILL) for phase in CLIENT])

    def test_client_hangs(self):
        self.each(self.client_meets, [(phase, signal.SIGSTOP) for phase in CLIENT])

    def test_client_is_told_to_end(self):
        self.each(self.client_meets, half(CLIENT))

    def test_server_killed(self):
        self.each(self.server_meets, [(phase, signal.SIGKILL) for phase in SERVER])

    def test_server_hangs(self):
        self.each(self.server_meets, [(phase, signal.SIGSTOP) for phase in SERVER])

    def test_server_is_told_to_end(self):
        self.each(self.server_meets, half(SERVER))

    def both(self, run, phases):
        """Each phase of two ends that drive with each signal: killed, hanging, told to end."""
        signals = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
        self.each(run, [(phase, number, BOTH) for phase in phases for number in signals])

    def test_client_where_both_drive(self):
        self.both(self.client_meets, CLIENT_BOTH)

    def test_server_where_both_drive(self):
        self.both(self.server_meets, SERVER_BOTH)


if __name__ == "__main__":
    main()
