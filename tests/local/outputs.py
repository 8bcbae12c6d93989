#!/usr/bin/env python3
"""Where results go when the place is a bad one: full, closed, unread, the same twice; and how the program ends."""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import SHORT, Folder, main, read, rows  # noqa: E402

NULL = ["pair", "--local", "--out", "none", "--transport", "null", "--test", "send_lat", "--size", "8", "--quiet", *SHORT]
MANY = [*NULL, "--size", "1:8:+1", "-n", "100", "--repetitions", "5"]


def shell(script):
    """The program under a shell that first does something to its descriptors or its file systems."""
    return ["sh", "-c", script, "sh"]


def on_small_disk():
    """A folder `small` that holds 4 KiB, for the program alone."""
    return ["unshare", "-m", *shell('mount -t tmpfs -o size=4k none small && exec "$@"')]


def full_disk_hindrance():
    if os.geteuid() != 0:
        return "a file system of our own needs root"
    if not shutil.which("unshare"):
        return "unshare (util-linux) is not installed"
    probe = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, text=True)
    return f"no file system of our own here: {probe.stderr.strip()}" if probe.returncode else None


class Outputs(Folder):
    def refused(self, status, words, *arguments, **options):
        """The program ends soon, in one line with these words."""
        begin = time.monotonic()
        process = self.run_program(*arguments, status=status, **options)
        self.assertLess(time.monotonic() - begin, 8)
        self.assertEqual(process.err.count("\n"), 1, process.err)
        self.assertIn(words, process.err)
        return process

    # ---- the same place twice ----

    def test_one_file_for_two(self):
        os.symlink("same", self.folder + "/link")
        for first, second in (("--csv", "--json"), ("--csv", "--raw"), ("--json", "--raw")):
            for name in ("same", "./same", "link"):
                with self.subTest(f"{first} {second} {name}"):
                    self.refused(2, "are one file", *NULL, first, "same", second, name)

    def test_the_file_behind_stdout(self):
        self.refused(2, "standard output and --csv rows.csv are one file", *NULL, "--csv", "rows.csv",
                     prefix=shell('exec "$@" >rows.csv'))
        self.refused(2, "are one file", *NULL, "--json", "/dev/stdout")

    def test_devices_may_be_named_twice(self):
        self.run_program(*NULL, "--csv", "/dev/null", "--json", "/dev/null", "--raw", "/dev/null",
                         prefix=shell('exec "$@" >/dev/null'))

    def test_raw_on_stdout(self):
        process = self.run_program(*NULL, "--raw", "-", "--csv", "rows.csv")
        stamps, found = rows(process.out), rows(read(self.folder + "/rows.csv"))
        self.assertEqual(len(stamps), int(found[0]["samples"]))
        self.assertTrue(all(stamp["at_ns"].isdigit() and None not in stamp for stamp in stamps))

    # ---- named pipes ----

    def test_pipe_that_nobody_reads(self):
        os.mkfifo(self.folder + "/pipe")
        for option in ("--csv", "--json", "--raw"):
            with self.subTest(option):
                self.refused(3, "pipe: nobody reads this named pipe", *NULL, option, "pipe")

    def test_pipe_that_is_read(self):
        os.mkfifo(self.folder + "/pipe")
        for option in ("--csv", "--raw"):
            with self.subTest(option):
                reader = subprocess.Popen(["sh", "-c", "exec cat pipe >copy"], cwd=self.folder)
                self.processes.append(reader)
                time.sleep(0.3)
                self.run_program(*MANY, option, "pipe")
                reader.wait(timeout=10)
                text = read(self.folder + "/copy")
                self.assertGreaterEqual(len(rows(text)), 8)
                self.assertTrue(text.endswith("\n"))

    # ---- full disks ----

    def on_full_disk(self, option):
        reason = full_disk_hindrance()
        if reason:
            self.skipTest(reason)
        os.mkdir(self.folder + "/small")
        return self.refused(3, "no space left on device", *MANY, option, "small/file", prefix=on_small_disk())

    def test_full_disk_csv(self):
        self.on_full_disk("--csv")

    def test_full_disk_json(self):
        self.on_full_disk("--json")

    def test_full_disk_raw_leaves_the_rows(self):
        process = self.on_full_disk("--raw")
        self.assertIn("cannot write small/file", process.err)
        self.assertEqual(len(re.findall(r" ok( \^)?\n", process.out)), 8, process.out)

    def test_dev_full(self):
        full = shell('exec "$@" >/dev/full')
        for arguments in (["--help"], ["--version"], ["pair", "--help"], ["devices"]):
            self.refused(3, "cannot write to stdout: no space left on device", *arguments, prefix=full)
        for arguments in ([], ["--csv", "-"], ["--json", "-"], ["--raw", "-"]):
            self.refused(3, "no space left on device", *NULL, *arguments, prefix=full)

    # ---- closed descriptors ----

    def test_closed_stdout(self):
        closed = shell('exec "$@" >&-')
        for arguments in (["--help"], ["devices"]):
            self.refused(3, "cannot write to stdout: it is closed", *arguments, prefix=closed)
        for arguments in ([], ["--csv", "-"], ["--json", "-"], ["--raw", "-"], ["--csv", "rows.csv"]):
            self.refused(3, "standard output: it is closed", *NULL, *arguments, prefix=closed)

    def test_closed_stdin_and_stderr(self):
        arguments = [a for a in NULL if a != "--quiet"]
        process = self.run_program(*arguments, "--csv", "rows.csv", "--raw", "raw.csv", prefix=shell('exec "$@" <&- 2>&-'))
        self.assertEqual(process.err, "")
        self.assertIn("send_lat", process.out)
        for name in ("rows.csv", "raw.csv"):
            self.assertTrue(all(None not in row and None not in row.values() for row in rows(read(f"{self.folder}/{name}"))))

    def test_all_closed(self):
        self.run_program(*NULL, prefix=shell('exec "$@" <&- >&- 2>&-'), status=3)

    # ---- words and signals ----

    def test_arguments_are_utf8(self):
        for arguments in (["pair", b"n\xf8de"], ["pair", "--local", "--labels", b"who=\xe9"], ["serve", b"\xff"],
                          ["devices", b"--js\xc3"]):
            self.refused(2, "is not valid UTF-8", *arguments)

    def test_ignored_signals_stay_ignored(self):
        server = self.serve(prefix=["nohup"])
        server.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        self.assertIsNone(server.poll())
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
        self.assertEqual(server.returncode, 0)

    def test_hangup_ends_a_server(self):
        server = self.serve()
        server.send_signal(signal.SIGHUP)
        server.communicate(timeout=10)
        self.assertEqual(server.returncode, 0)

    def test_far_end_that_is_stopped(self):
        process = self.start("pair", "--local", "--test", "send_lat", "--size", "8,16", "--duration", "10", "--quiet")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not glob.glob(self.folder + "/fabmark-results/*/results.csv"):
            time.sleep(0.02)
        time.sleep(0.7)
        child = int(subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()[0])
        os.kill(child, signal.SIGSTOP)
        time.sleep(0.2)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        self.assertLess(time.monotonic() - begin, 3, err)
        self.assertEqual(process.returncode, 130, err)
        with self.assertRaises(ProcessLookupError):
            os.kill(child, 0)


if __name__ == "__main__":
    main()
