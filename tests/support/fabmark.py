"""What the tests of the whole program share: running it, reading its rows, nodes as network namespaces."""

import csv
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.environ["FABMARK"]
# Sanitized builds are slow; what they look for needs no long measuring.
SHORT = ["--duration", os.environ.get("FABMARK_TEST_DURATION", "0.12")]
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
with open(PROGRAM, "rb") as _file:
    _bytes = _file.read()
SANITIZED = b"__asan_init" in _bytes or b"__tsan_init" in _bytes


class Folder(unittest.TestCase):
    """A test in an empty folder of its own, with its own config folder and no token in the environment."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fabmark-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items() if k != "FABMARK_TOKEN"}
        self.env.update(HOME=self.folder, XDG_CONFIG_HOME=self.folder + "/config", PATH=PATH)
        self.processes = []
        self.addCleanup(self.kill_all)

    def kill_all(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def start(self, *arguments, prefix=(), program=PROGRAM, **options):
        """The program in the background; killed at the end of the test."""
        process = subprocess.Popen([*prefix, program, *arguments], cwd=self.folder, env=self.env, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.processes.append(process)
        return process

    def run_program(self, *arguments, prefix=(), timeout=60, status=0, **options):
        """Runs it to its end; the exit status must be this one."""
        process = self.start(*arguments, prefix=prefix, **options)
        out, err = process.communicate(timeout=timeout)
        self.assertEqual(process.returncode, status, f"{arguments}\nstdout: {out}\nstderr: {err}")
        process.out, process.err = out, err
        return process

    def serve(self, *arguments, prefix=()):
        """A server that listens; its port is server.port."""
        reader, writer = os.pipe()
        server = self.start("serve", "--ready-fd", str(writer), *arguments, prefix=prefix, pass_fds=[writer])
        os.close(writer)
        with os.fdopen(reader) as ready:
            server.port = ready.readline().strip()
        if not server.port:
            self.fail(f"the server did not start: {server.communicate()}")
        return server


def read(path):
    with open(path) as file:
        return file.read()


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def real(text):
    return float(text) if text else None


def main():
    """unittest's main with exit status 77, and a line, where every test was skipped."""
    program = unittest.main(exit=False)
    result = program.result
    if result.wasSuccessful() and result.testsRun and len(result.skipped) == result.testsRun:
        print("SKIP:", result.skipped[0][1])
        sys.exit(77)
    sys.exit(not result.wasSuccessful())


# ---- nodes ----


def sh(command):
    subprocess.run(["sh", "-ec", command], check=True, env=dict(os.environ, PATH=PATH))


def may_make_nodes():
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip", path=PATH):
        return "ip (iproute2) is not installed"
    probe = subprocess.run(["ip", "netns", "add", f"fmprobe{os.getpid()}"], env=dict(os.environ, PATH=PATH),
                           capture_output=True, text=True)
    if probe.returncode:
        return "network namespaces cannot be made here: " + probe.stderr.strip()
    sh(f"ip netns del fmprobe{os.getpid()}")
    return None


class Nodes(Folder):
    """Two nodes a and b joined by veth links: link i is 10.77.i.1/24 (a) and .2 (b), and fd77:i::1/64 and ::2."""

    links = 1

    def setUp(self):
        super().setUp()
        reason = may_make_nodes()
        if reason:
            self.skipTest(reason)
        self.name = {side: f"fm{os.getpid()}{side}" for side in "ab"}
        for side in "ab":
            sh(f"ip netns add {self.name[side]}")
            self.addCleanup(sh, f"ip netns del {self.name[side]}")
            sh(f"ip -n {self.name[side]} link set lo up")
        for i in range(self.links):
            sh(f"ip -n {self.name['a']} link add eth{i} type veth peer name eth{i} netns {self.name['b']}")
            for side, host in (("a", 1), ("b", 2)):
                sh(f"ip -n {self.name[side]} addr add 10.77.{i}.{host}/24 dev eth{i}")
                sh(f"ip -n {self.name[side]} addr add fd77:{i}::{host}/64 dev eth{i} nodad")
                sh(f"ip -n {self.name[side]} link set eth{i} up")

    def on(self, side):
        """The prefix that runs a command on a node, under its own host name."""
        return ["nsenter", f"--net=/run/netns/{self.name[side]}", "unshare", "--uts", "sh", "-c",
                f'hostname node-{side}; exec "$@"', "sh"]
