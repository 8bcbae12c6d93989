#!/usr/bin/env python3
"""Both ends of a run under valgrind's memcheck: no bad access, no use of what was never written, nothing lost."""

import os
import re
import shutil
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import PATH, SANITIZED, Folder, main, rows  # noqa: E402

WRONG = 99  # memcheck found something
# Of its threads one runs at a time; without --fair-sched one that polls busily may keep the others from running for long.
CHECK = ["valgrind", "--quiet", "--fair-sched=try", "--leak-check=full", "--errors-for-leak-kinds=definite",
         f"--error-exitcode={WRONG}"]
# A handshake under valgrind on a busy machine can outlast the server's patience with strangers, and a step that of the
# session.
ATTEMPTS = 8
HANDSHAKE = ("during the handshake|took the connection but did not answer|turned [0-9]+ connections? away|"
             "took more than [0-9]+ s and was given up")


def why_not():
    if not shutil.which("valgrind", path=PATH):
        return "valgrind is not installed"
    return "a sanitizer is built in, and valgrind does not run beside it" if SANITIZED else None


class Memcheck(Folder):
    def setUp(self):
        super().setUp()
        if why_not():
            self.skipTest(why_not())

    def end(self, server, statuses):
        """Its end under memcheck, which looks for what was lost only then; what it said."""
        said = server.communicate(timeout=60)[1]
        self.assertNotEqual(server.returncode, WRONG, said)
        self.assertIn(server.returncode, statuses, said)
        return said

    def both_ends(self, *arguments, status=0):
        for _ in range(ATTEMPTS):
            server = self.serve("--once", "--port", "0", prefix=CHECK)
            client = self.start("pair", "127.0.0.1", "--port", server.port, "--repetitions", "2", "--iterations", "200",
                                "--peer-timeout", "30", "--csv", "-", *arguments, prefix=CHECK)
            out, err = client.communicate(timeout=120)
            self.assertNotEqual(client.returncode, WRONG, err)
            if client.returncode == status and not re.search(HANDSHAKE, err):
                self.end(server, (0, 3))
                return rows(out)
            # It still waits for the client that did not get in.
            server.terminate()
            said = self.end(server, (0, 128 + signal.SIGTERM))
            self.assertRegex(err + said, HANDSHAKE, f"exit status {client.returncode}")
        return self.skipTest(f"this machine is too busy: {ATTEMPTS} times under memcheck something took too long")

    def test_tcp(self):
        found = self.both_ends("--transport", "tcp", "--test", "all", "--size", "8,64K", "--streams", "2", "-b", "--verify")
        self.assertEqual({r["verified"] for r in found}, {"yes"})

    def test_null_and_a_failure(self):
        self.both_ends("--transport", "null", "--test", "write_lat", "--out", "none")
        found = self.both_ends("--transport", "fault:tcp,fail@50", "--test", "send_bw", "--size", "8", "--out", "none", status=3)
        self.assertEqual([r["reason_code"] for r in found], ["transfer"])


if __name__ == "__main__":
    main()
