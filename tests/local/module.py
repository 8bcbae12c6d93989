#!/usr/bin/env python3
"""A transport from outside, as its author meets it: installed headers, a compiler, FABMARK_TRANSPORT_PATH."""

import glob
import json
import os
import shlex
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import PROGRAM, SHORT, Folder, main, rows  # noqa: E402

BUILD = os.environ["FABMARK_BUILD"]
CMAKE = os.environ["FABMARK_CMAKE"]
COMPILER = os.environ["FABMARK_CC"]
MODULES = os.environ["FABMARK_MODULES"]
GOOD = os.path.join(MODULES, "good")


class Module(Folder):
    def setUp(self):
        super().setUp()
        self.env.pop("FABMARK_TRANSPORT_PATH", None)

    def path(self, *places):
        self.env["FABMARK_TRANSPORT_PATH"] = ":".join(places)

    def pair(self, *arguments, status=0, **options):
        process = self.run_program("pair", "--csv", "-", "--out", "none", "--quiet", *SHORT, *arguments, status=status,
                                   **options)
        return rows(process.out), process.err


class Installed(Module):
    def test_build_against_what_is_installed(self):
        if not shutil.which("pkg-config"):
            self.skipTest("pkg-config is not installed")
        prefix = self.folder + "/installed"
        subprocess.run([CMAKE, "--install", BUILD, "--prefix", prefix], check=True, capture_output=True)
        pc = glob.glob(prefix + "/**/fabmark-transport.pc", recursive=True)
        self.assertEqual(len(pc), 1)
        env = dict(self.env, PKG_CONFIG_PATH=os.path.dirname(pc[0]))

        def ask(what):
            return subprocess.run(["pkg-config", what, "fabmark-transport"], env=env, check=True, capture_output=True,
                                  text=True).stdout.strip()

        # The only folders that the compiler hears of lie in the prefix.
        flags = shlex.split(ask("--cflags"))
        self.assertTrue(flags and all(os.path.realpath(f[2:]).startswith(os.path.realpath(prefix)) for f in flags), flags)
        strict = [COMPILER, "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", *flags]
        headers = os.listdir(prefix + "/include/fabmark")
        self.assertIn("transport.h", headers)
        for header in headers:
            subprocess.run([*strict, "-fsyntax-only", "-x", "c", "-"], input=f"#include <fabmark/{header}>\n", text=True,
                           check=True)
        examples = glob.glob(prefix + "/**/unix.c", recursive=True)
        self.assertEqual(len(examples), 1)
        os.mkdir(self.folder + "/mine")
        subprocess.run([*strict, "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-z,defs", "-o",
                        self.folder + "/mine/unix.so", examples[0]], check=True, cwd=self.folder)
        program = prefix + "/bin/fabmark"
        self.path(self.folder + "/mine")
        found, _ = self.pair("--local", "--transport", "unix", "--test", "send_lat,send_bw", "--size", "1,8,64K,1M",
                             program=program)
        self.assertEqual([(r["transport"], r["test"], r["size_bytes"], r["status"]) for r in found],
                         [("unix", t, s, "ok") for t in ("send_lat", "send_bw") for s in ("1", "8", "65536", "1048576")])
        self.assertTrue(all(float(r["lat_min_us"]) > 0 for r in found[:4]))
        self.assertTrue(all(float(r["bw_gbps"]) > 0 for r in found[4:]))
        self.assertEqual([r["completion"] for r in found], ["replied"] * 4 + ["delivered"] * 4)
        # Where packages put modules it is found without being named.
        del self.env["FABMARK_TRANSPORT_PATH"]
        folder = ask("--variable=moduledir")
        os.makedirs(folder, exist_ok=True)
        shutil.move(self.folder + "/mine/unix.so", folder)
        self.assertIn("AF_UNIX", self.run_program("devices", program=program).out)


class Outside(Module):
    def test_rows_and_options(self):
        self.path(GOOD)
        row = self.pair("--local", "--transport", "unix", "--test", "send_bw", "--size", "64K", "--set",
                        "unix.buffer=256K")[0][0]
        effective = dict(pair.split("=", 1) for pair in row["effective"].split(";"))
        # Twice what was asked for is the kernel's way of counting its own part (socket(7)).
        self.assertGreaterEqual(int(effective["send_buffer"]), 256 * 1024)
        self.assertEqual((row["status"], row["transport"], row["memory_path"]), ("ok", "unix", "host"))
        unset = self.pair("--local", "--transport", "unix", "--test", "send_bw", "--size", "64K")[0][0]
        self.assertNotEqual(unset["effective"], row["effective"])

    def test_options_that_are_none(self):
        self.path(GOOD)
        for setting, part in (("unix.bufer=1", "the nearest is unix.buffer"), ("unix.buffer=huge", "unix.buffer 'huge'"),
                              ("unix.buffer=2G", "must be 0 to"), ("unik.buffer=1", "no transport 'unik'"),
                              ("null.x=1", "has no options"), ("unix.buffer", "TRANSPORT.OPTION=VALUE"),
                              ("unix=3", "TRANSPORT.OPTION=VALUE"), (".x=3", "TRANSPORT.OPTION=VALUE")):
            err = self.pair("--local", "--transport", "unix", "--set", setting, status=2)[1]
            self.assertIn(part, err)
            self.assertIn("--set", err)

    def test_set_reaches_our_own(self):
        found, _ = self.pair("--local", "--transport", "tcp", "--test", "send_bw", "--size", "64K", "--set",
                             "tcp.congestion=reno", "--set", "tcp.socket-buffer=256K")
        self.assertIn("congestion=reno", found[0]["effective"])
        err = self.pair("--local", "--transport", "tcp", "--set", "tcp.congestion=none_such", "--test", "send_lat",
                        status=3)[1]
        self.assertIn("refuses --congestion", err)

    def test_streams_threads_and_events(self):
        self.path(GOOD)
        for more in ((), ("--events",)):
            found, _ = self.pair("--local", "--transport", "unix", "--test", "send_lat,send_bw", "--size", "8,64K",
                                 "--streams", "4", "--threads", "2", *more)
            self.assertEqual([r["status"] for r in found], ["ok"] * 4)

    def test_fault_wraps_it(self):
        self.path(GOOD)
        found, err = self.pair("--local", "--transport", "fault:unix,fail@100", "--test", "send_lat", status=3)
        self.assertEqual([(r["transport"], r["reason_code"]) for r in found], [("fault", "transfer")])
        self.assertIn("operation 100 failed on cue", err)
        # A message that was not sent is missed: what it counts are bytes that came.
        found, _ = self.pair("--local", "--transport", "fault:unix,lose@100", "--test", "send_lat", status=3)
        self.assertEqual(found[0]["reason_code"], "timeout")
        del self.env["FABMARK_TRANSPORT_PATH"]
        err = self.pair("--local", "--transport", "fault:unix,fail@100", "--test", "send_lat", status=3)[1]
        self.assertIn("no transport 'unix' to break", err)

    def test_memory_that_it_does_not_take(self):
        self.path(GOOD)
        found, err = self.pair("--local", "--transport", "unix", "--test", "send_lat", "--memory", "guarded", status=3,
                               program=os.environ["FABMARK_TESTING"])
        self.assertEqual(found[0]["reason_code"], "unsupported")
        self.assertIn("not guarded", err)

    def test_auto_prefers_our_own(self):
        self.path(os.path.join(MODULES, "kept"))
        self.assertEqual({r["transport"] for r in self.pair("--local", "--test", "send_lat")[0]}, {"tcp"})
        # all takes what says that it may be taken, and unix does not.
        self.path(GOOD)
        self.assertEqual({r["transport"] for r in self.pair("--local", "--transport", "all", "--test", "send_lat")[0]},
                         {"verbs", "tcp"})

    def test_missing_on_the_server(self):
        server = self.serve("--once", "--quiet", "--port", "0", "--address", "127.0.0.1")
        self.path(GOOD)
        found, err = self.pair("127.0.0.1", "--port", server.port, "--transport", "unix", "--test", "send_lat", status=3)
        self.assertEqual([(r["status"], r["reason_code"]) for r in found], [("failed", "absent")])
        self.assertIn("the other node cannot run unix", err)
        self.assertIn("FABMARK_TRANSPORT_PATH", err)

    def test_missing_here(self):
        err = self.pair("--local", "--transport", "unix", status=2)[1]
        self.assertIn("no transport 'unix'", err)
        self.assertIn("FABMARK_TRANSPORT_PATH", err)

    def test_broken_ones_stop_nothing(self):
        broken = [os.path.join(MODULES, name) for name in sorted(os.listdir(MODULES))
                  if glob.glob(os.path.join(MODULES, name, "*.so"))]
        self.assertGreater(len(broken), 10)
        self.path(*broken, "/nowhere")
        found, _ = self.pair("--local", "--transport", "tcp", "--test", "send_lat", "--size", "8")
        self.assertEqual([r["status"] for r in found], ["ok"])
        text = self.run_program("devices").out
        listed = json.loads(self.run_program("devices", "--json").out)
        absent = {t["name"]: t["absent"] for t in listed["transports"]}
        self.assertIsNone(absent["unix"])
        self.assertIn("ABI 2", absent["abi"])
        self.assertIn("libgone.so", absent["library"])
        self.assertTrue(any("'null' is taken" in line for line in listed["module_notes"]), listed)
        for sentence in [a for a in absent.values() if a] + listed["module_notes"]:
            self.assertIn(" ".join(sentence.split()), " ".join(text.split()))
        # Named, it fails as what was asked for, with its reason.
        found, err = self.pair("--local", "--transport", "abi", "--test", "send_lat", status=3)
        self.assertEqual([(r["status"], r["reason_code"]) for r in found], [("failed", "absent")])
        self.assertIn("ABI 2, and this program has 1", err)

    def test_what_is_no_regular_file(self):
        """A pipe that nobody writes to holds nobody up, be it named or found; nor does a device."""
        os.mkdir(self.folder + "/odd")
        for name in ("odd/pipe.so", "odd/tcp.so", "named"):
            os.mkfifo(f"{self.folder}/{name}")
        os.symlink(self.folder + "/named", self.folder + "/odd/linked.so")
        self.path(self.folder + "/odd", self.folder + "/named", "/dev/zero", GOOD)
        listed = json.loads(self.run_program("devices", "--json", timeout=30).out)
        absent = {t["name"]: t["absent"] for t in listed["transports"]}
        for name in ("pipe", "linked"):
            self.assertIn(f"/odd/{name}.so: it is no regular file", absent[name])
        for name in ("/odd/tcp.so", "/named", "/dev/zero"):
            self.assertTrue(any(f"{name}: it is no regular file" in line for line in listed["module_notes"]), listed)
        self.assertIsNone(absent["tcp"])
        self.assertIsNone(absent["unix"])
        self.assertIn("it is no regular file", self.run_program("devices", timeout=30).out)

    def test_devices_tell_its_options(self):
        self.path(GOOD)
        text = self.run_program("devices").out
        self.assertIn("--set unix.buffer=BYTES", text)
        self.assertIn(GOOD + "/unix.so", text)
        unix = next(t for t in json.loads(self.run_program("devices", "--json").out)["transports"] if t["name"] == "unix")
        self.assertEqual((unix["absent"], unix["automatic"], unix["module"]), (None, False, GOOD + "/unix.so"))
        self.assertEqual([o["name"] for o in unix["options"]], ["buffer"])

    def test_help_is_the_same_everywhere(self):
        before = self.run_program("pair", "--help").out
        self.path(GOOD)
        self.assertEqual(self.run_program("pair", "--help").out, before)


class Symbols(unittest.TestCase):
    def symbols(self, path, which):
        if not shutil.which("nm"):
            self.skipTest("nm (binutils) is not installed")
        lines = subprocess.run(["nm", "-D", which, path], check=True, capture_output=True, text=True).stdout.splitlines()
        return [line.split()[-1] for line in lines]

    def test_neither_needs_a_symbol_of_the_other(self):
        self.assertEqual([s for s in self.symbols(PROGRAM, "--defined-only") if s.startswith("fm_")], [])
        self.assertEqual([s for s in self.symbols(GOOD + "/unix.so", "--defined-only")
                          if not s.startswith("_")], ["fm_module"])
        self.assertEqual([s for s in self.symbols(GOOD + "/unix.so", "--undefined-only") if s.startswith("fm_")], [])


if __name__ == "__main__":
    main()
