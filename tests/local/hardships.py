#!/usr/bin/env python3
"""What a node can be short of or get in the way of a run: memory, disk, the same version, a steady clock, peace."""

import glob
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import PATH, PROGRAM, SANITIZED, Folder, main, read, real, rows  # noqa: E402
from faults import LATENCY, WITHIN, Case, Faults, await_true, stopped  # noqa: E402

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


class Versions(Faults):
    def forged(self, side, hello, *extra):
        """A run in which one side takes the other for another version."""
        case = Case(self, side)
        forged = {**self.env, "FABMARK_HELLO": json.dumps(hello)}
        case.start(environments={side: forged}, extra=extra)
        return case

    def test_another_protocol(self):
        for side, words in (("server", "the client vm runs|install the same version"), ("client", "protocol 2")):
            case = self.forged(side, {"protocol": 2})
            begin = time.monotonic()
            case.client_ends([3], lambda: begin)
            self.assertRegex(case.said.text, words)
            self.assertIn("install the same version on both", case.said.text)
            case.server_says("install the same version on both", begin)
            if side == "client":
                case.server_goes_on()
            self.assertFalse(case.wrong, case.wrong)

    def test_another_program_version(self):
        case = self.forged("client", {"version": "0.99.0", "facts": {"fabmark": "0.99.0"}}, "--out", "kept")
        case.client_ends([0], time.monotonic)
        document = json.loads(read(glob.glob(self.folder + "/kept/*/run.json")[0]))
        own = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True).stdout.split()[1]
        self.assertNotEqual(own, "0.99.0")
        self.assertEqual([document["environment"][node]["fabmark"] for node in ("node_a", "node_b")], [own, "0.99.0"])
        self.assertEqual(document["tool_version"], own)
        found = case.whole_rows()
        self.assertEqual([r["status"] for r in found], ["ok"] * 3)
        self.assertTrue(all("peer_version=0.99.0" in r["effective"] for r in found), found[0]["effective"])
        self.assertFalse(case.wrong, case.wrong)


class Memory(Folder):
    def test_address_space(self):
        """Any limit: it runs, or says that memory is missing; it never crashes."""
        if SANITIZED:
            self.skipTest("a sanitizer takes terabytes of address space")
        if not os.path.exists("/usr/bin/prlimit"):
            self.skipTest("prlimit (util-linux) is not installed")
        statuses = []
        # What the loader needs depends on what the libraries of this system bring along.
        least = next(mib for mib in range(8, 512, 4)
                     if subprocess.run(["prlimit", f"--as={mib << 20}", PROGRAM, "--version"],
                                       capture_output=True).returncode == 0)
        # From there to what is enough, in small steps.
        for limit in range((least - 4) << 20, (least + 20) << 20, 384 << 10):
            process = self.start("pair", "--local", "--transport", "tcp", "--test", "send_lat,send_bw", "--size", "8", "-n",
                                 "20", "--repetitions", "1", "--csv", "rows.csv", "--out", "none", "--quiet",
                                 prefix=["prlimit", f"--as={limit}"])
            _, err = process.communicate(timeout=60)
            self.assertIn(process.returncode, (0, 3, 127), f"{limit}: {err}")
            if process.returncode == 127:
                self.assertIn("error while loading", err)
            if process.returncode == 3:
                self.assertIn("fabmark: ", err, limit)
            statuses.append(process.returncode)
        self.assertEqual(statuses[-1], 0)
        self.assertIn(3, statuses, "no limit was in between")

    def test_an_allocation_that_fails(self):
        """From one allocation on there is no memory, on both sides: every few of the first, and then here and there."""
        library = os.environ.get("FABMARK_SHORTAGE", "")
        if SANITIZED or not os.path.exists(library):
            self.skipTest("a sanitizer has its own allocator" if SANITIZED else "the library that fails allocations is not built")
        self.env["FABMARK_TOKEN"] = "0123456789abcdef0123456789abcdef"
        for number in [*range(1, 150, 3), *range(150, 12000, 500)]:
            environment = {**self.env, "LD_PRELOAD": library, "SHORTAGE_AT": str(number)}
            process = subprocess.Popen([PROGRAM, "pair", "--local", *LATENCY.arguments, "--size", "8", "--out", "none", "--quiet"],
                                       cwd=self.folder, env=environment, text=True, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.processes.append(process)
            _, err = process.communicate(timeout=60)
            self.assertIn(process.returncode, (0, 3), f"none from allocation {number} on: {err}")
            if process.returncode:
                self.assertTrue(err.strip(), f"none from allocation {number} on: not a word")


class Disk(Folder):
    def test_full_while_measuring(self):
        """What fits stays whole, in results.csv, and the message says what was lost."""
        probe = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, text=True,
                               env=dict(os.environ, PATH=PATH))
        if probe.returncode:
            self.skipTest("no file system of our own here: " + probe.stderr.strip())
        os.mkdir(self.folder + "/small")
        prefix = ["unshare", "-m", "sh", "-c",
                  'mount -t tmpfs -o size=16k none small || exit 99; "$@"; s=$?; cp small/*/results.csv kept.csv; exit $s', "sh"]
        err = self.run_program("pair", "--local", "--transport", "null", "--test", "send_lat", "--size", "1:40:+1", "-n", "50",
                               "--repetitions", "1", "--out", "small", prefix=prefix, status=3, timeout=120).err
        self.assertRegex(err, "cannot write .*no space left on device")
        text = read(self.folder + "/kept.csv")
        found = rows(text)
        self.assertTrue(text.endswith("\n"))
        self.assertGreaterEqual(len(found), 2)
        self.assertEqual([r["size_bytes"] for r in found], [str(i + 1) for i in range(len(found))])
        self.assertTrue(all(None not in r.values() and None not in r and r["lat_p50_us"] for r in found))


class Clock(Faults):
    def test_wall_clock_that_jumps(self):
        """Every look at the wall clock finds it an hour off, to and fro: no figure and no deadline follows it."""
        self.env["FABMARK_WALL"] = "3600"
        case = Case(self, "clock")
        case.start(extra=["--test", "send_lat,send_bw"])
        begin = time.monotonic()
        case.client_ends([0], lambda: begin)
        found = rows(read(case.csv))
        self.assertEqual([r["status"] for r in found], ["ok"] * 6)
        self.assertTrue(all(0 < real(r["duration_s"]) < WITHIN for r in found))
        self.assertTrue(all(real(r["lat_max_us"]) < 1e7 for r in found if r["lat_max_us"]))
        hours = {r["time_utc"][11:13] for r in found}
        self.assertGreater(len(hours), 1, "the clock did jump")
        self.assertFalse(case.wrong, case.wrong)

    def sources(self, pattern):
        """Lines of the program's source, FILE:LINE:TEXT."""
        return subprocess.run(["grep", "-rnE", pattern, "--include=*.[ch]", "bench", "common", "results", "topology", "transports"],
                              cwd=SOURCE, capture_output=True, text=True).stdout.splitlines()

    def test_only_time_stamps_come_from_it(self):
        found = self.sources(r"CLOCK_REALTIME|gettimeofday|[^_a-z]time\(NULL|sem_timedwait|mutex_timedlock|timer_create")
        self.assertEqual([line.split(":")[0] for line in found], ["bench/node.c", "results/folder.c"], found)
        # A condition variable waits by the wall clock unless it is told otherwise.
        for waits in self.sources("pthread_cond_timedwait"):
            self.assertIn("pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)", read(f"{SOURCE}/{waits.split(':')[0]}"))


class Restart(Faults):
    def test_server_restarted_during_a_run(self):
        case = Case(self, "restart")
        case.start(cue_client=">point >point >arm >arm")
        await_true(lambda: stopped(case.client))
        os.kill(case.server.pid, signal.SIGKILL)
        case.server.wait()
        # On the same port at once, while connections of the old one are not gone from the kernel.
        second, port = self.server(self.env, port=case.port)
        self.assertEqual(port, case.port)
        since = time.monotonic()
        os.kill(case.client.pid, signal.SIGCONT)
        case.client_ends([3], lambda: since)
        self.assertRegex(case.said.text, "lost|closed the connection")
        case.rows_are(1)
        case.server = second
        case.server_goes_on()
        self.assertFalse(case.wrong, case.wrong)


class Peace(Faults):
    def thread_seconds(self, pid):
        """CPU time of the control thread, the first one."""
        fields = read(f"/proc/{pid}/task/{pid}/stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_heartbeat_and_watching_cost_little(self):
        """In the middle of a repetition the control threads do nothing but send and read heartbeats and look whether
        something moves: how much of a second that takes bounds what it can do to a figure."""
        server, port = self.server(self.env)
        client = self.launch(self.env, "pair", "127.0.0.1", "--port", port, "--test", "send_lat", "--size", "8", "-n",
                             "20000000", "--repetitions", "1", "--csv", "-", "--out", "none", "--quiet")

        def spent(process):
            return int(read(f"/proc/{process.pid}/task/{process.pid}/schedstat").split()[0]) / 1e9
        time.sleep(2)
        before, begin = {p: spent(p) for p in (client, server)}, time.monotonic()
        time.sleep(4)
        seconds = time.monotonic() - begin
        shares = [(spent(p) - before[p]) / seconds for p in (client, server)]
        print(f"control threads while measuring: {shares[0] * 1e6:.0f} us a second on a, {shares[1] * 1e6:.0f} on b")
        client.send_signal(signal.SIGTERM)
        client.communicate(timeout=30)
        self.assertEqual(client.returncode, 143)
        # Ten wake-ups a second of 100 us each would be 0.1%.
        self.assertLess(max(shares), 0.02 if SANITIZED else 0.005)

    def test_slow_loris(self):
        """Connections that dribble bytes, among them ones that look like TLS: the run goes on, and sorting them costs
        the server's control thread next to nothing."""
        server, port = self.server(self.env)
        log = threading.Thread(target=lambda: server.stderr.read(), daemon=True)
        log.start()
        over = threading.Event()

        def dribble():
            while not over.is_set():
                held = []
                for first in (b"\x16", b"F", b"\x16\x03\x01\x40\x00", b"GET / HTTP/1.1\r\n", b"FMD1") * 4:
                    try:
                        held.append(socket.create_connection(("127.0.0.1", int(port)), timeout=1))
                        held[-1].sendall(first)
                    except OSError:
                        pass
                for _ in range(10):
                    over.wait(0.05)
                    for each in held:
                        try:
                            each.send(b"\x00", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                        except OSError:
                            pass
                for each in held:
                    each.close()

        attacker = threading.Thread(target=dribble)
        attacker.start()
        try:
            time.sleep(0.3)
            before, begin = self.thread_seconds(server.pid), time.monotonic()
            client = self.launch(self.env, "pair", "127.0.0.1", "--port", port, "--test", "send_lat", "--size", "8,16",
                                 "--duration", "1", "--csv", "-", "--out", "none", "--quiet")
            out, err = client.communicate(timeout=60)
            spent, took = self.thread_seconds(server.pid) - before, time.monotonic() - begin
        finally:
            over.set()
            attacker.join()
        self.assertEqual(client.returncode, 0, err)
        self.assertEqual([r["status"] for r in rows(out)], ["ok", "ok"])
        self.assertLess(spent, took / 4, "the control thread worked too much")


if __name__ == "__main__":
    main()
