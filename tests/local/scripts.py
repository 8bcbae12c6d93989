#!/usr/bin/env python3
"""ci/soak and ci/compare: arguments that make no sense are refused at once, and an end in between tells what there is."""

import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import PROGRAM, Folder, main  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOAK, COMPARE = os.path.join(ROOT, "ci/soak"), os.path.join(ROOT, "ci/compare")


class Scripts(Folder):
    def refused(self, script, *arguments, sentence):
        result = subprocess.run([script, *arguments], capture_output=True, text=True, timeout=60, cwd=self.folder, env=self.env)
        self.assertEqual(result.returncode, 2, (arguments, result))
        self.assertIn(sentence, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertNotIn("Traceback", result.stderr)

    def test_soak_refuses(self):
        for arguments, sentence in (
                (["--sessions", "0"], "'0': a whole number is needed"), (["--aa", "0"], "'0': a whole number is needed"),
                (["--sessions", "many"], "'many': a whole number"), (["--faults", "0"], "'0': seconds are needed"),
                (["--faults", "-1"], "'-1': seconds are needed"), (["--aa", "2", "--duration", "0"], "'0': seconds are needed"),
                (["--aa", "2", "--size", "4K,8"], "'4K,8': one size"), (["--aa", "2", "--seconds", "3"], "belongs to --sessions"),
                (["--sessions", "2", "--size", "8"], "belong to --aa"), (["--aa", "2", "--sessions", "2"], "not allowed with"),
                (["--aa", "2", "--csv", "/no/such/folder/x"], "--csv: "), (["--fuzz", "0"], "--fuzz '0': a whole number"),
                (["--fuzz", "x"], "--fuzz 'x': a whole number"), (["--fuzz", "1", "2"], "'2' is one word too many"),
                (["--nonsense"], "unknown option '--nonsense'")):
            self.refused(SOAK, *arguments, sentence=sentence)

    def test_compare_refuses(self):
        for arguments, sentence in (
                (["--only", "("], "'(' is no regular expression"), (["--cpus", "90001,90002"], "that may be used are needed"),
                (["--cpus", "a"], "two numbers are needed"), (["--rounds", "0"], "at least one round")):
            self.refused(COMPARE, "tcp", *arguments, sentence=sentence)

    def test_an_interrupted_soak_tells_what_it_has(self):
        log = self.folder + "/log"
        wrapper = self.wrapper(f'echo "$1" >>{log}; exec {PROGRAM} "$@"')
        soak = subprocess.Popen([SOAK, "--sessions"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=dict(self.env, FABMARK=wrapper))
        self.processes.append(soak)
        # The third session begins when two are done.
        while self.lines(log).count("pair") < 3 and soak.poll() is None:
            time.sleep(0.05)
        soak.send_signal(signal.SIGINT)
        out, err = soak.communicate(timeout=60)
        self.assertEqual(soak.returncode, 130, (out, err))
        self.assertRegex(out, r"^[2-9]\d* sessions in \d+ s")
        self.assertNotIn("Traceback", err)

    def test_a_server_that_does_not_start_says_why(self):
        wrapper = self.wrapper("echo no such luck >&2; exit 3")
        result = subprocess.run([SOAK, "--sessions", "3"], capture_output=True, text=True, timeout=60,
                                env=dict(self.env, FABMARK=wrapper))
        self.assertEqual(result.returncode, 1, result)
        self.assertIn("the server does not start, exit status 3: no such luck", result.stdout)

    def wrapper(self, line):
        path = self.folder + "/wrapper"
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\n{line}\n")
        os.chmod(path, 0o755)
        return path

    def lines(self, path):
        if not os.path.exists(path):
            return []
        with open(path) as file:
            return file.read().split()


if __name__ == "__main__":
    main()
