#!/usr/bin/env python3
"""Two nodes over TCP: serve on one, the printed command on the other; addresses, rails and what goes wrong."""

import os
import shlex
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import SHORT, Nodes, main, read, real, rows, sh  # noqa: E402

FAST = ["--size", "8", "--test", "send_lat", *SHORT]


class TwoNodes(Nodes):
    links = 2

    def pair(self, host, *arguments, server, status=0):
        return self.run_program("pair", host, "--port", server.port, "--csv", "-", *arguments, prefix=self.on("a"),
                                status=status)

    def test_the_printed_command(self):
        server = self.start("serve", prefix=self.on("b"))
        printed = ""
        while "fabmark pair" not in printed:
            printed = server.stderr.readline()
            self.assertTrue(printed, "the server ended before it said what to type")
        words = shlex.split(printed)
        self.assertEqual(words[:3], ["fabmark", "pair", "node-b"])
        # The name service of the nodes is ours to play: the address stands for the name.
        found = rows(self.run_program("pair", "10.77.0.2", *words[3:], "--csv", "-", *FAST, prefix=self.on("a")).out)
        self.assertEqual([(r["status"], r["node_a"], r["node_b"]) for r in found], [("ok", "node-a", "node-b")])
        self.assertEqual((found[0]["device_a"], found[0]["device_b"]), ("eth0", "eth0"))
        if len(os.sched_getaffinity(0)) > 1:
            self.assertNotEqual(found[0]["cpu_a"], found[0]["cpu_b"], "two nodes of one machine do not share a CPU")
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
        self.assertEqual(server.returncode, 0)

    def test_pair_without_a_host_serves_once(self):
        server = self.start("pair", prefix=self.on("b"))
        time.sleep(0.5)
        self.run_program("pair", "10.77.0.2", "--out", "none", *FAST, prefix=self.on("a"))
        out, err = server.communicate(timeout=10)
        self.assertEqual(server.returncode, 0, err)

    def test_ipv6(self):
        server = self.serve(prefix=self.on("b"))
        for host in ("fd77:0::2", "[fd77:0::2]"):
            found = rows(self.pair(host, *FAST, server=server).out)
            self.assertEqual([r["status"] for r in found], ["ok"])
            self.assertIn("fd77", found[0]["effective"])

    def test_control_on_one_link_data_on_another(self):
        server = self.serve(prefix=self.on("b"))
        before = self.received("b", "eth1")
        found = rows(self.pair("10.77.0.2", "--data-address", "10.77.1.1=10.77.1.2", "--test", "send_bw", "--size", "64K",
                               *SHORT, server=server).out)
        self.assertEqual([(r["status"], r["device_a"], r["device_b"]) for r in found], [("ok", "eth1", "eth1")])
        moved = int(found[0]["operations"]) * int(found[0]["repetitions"]) * 65536
        self.assertGreater(self.received("b", "eth1") - before, moved)
        self.assertLess(self.received("b", "eth0"), 1000000)

    def received(self, side, device):
        text = subprocess.check_output(["ip", "netns", "exec", self.name[side], "cat",
                                        f"/sys/class/net/{device}/statistics/rx_bytes"], text=True)
        return int(text)

    def test_device_and_same_rail(self):
        # On b the second link has another name, and a third device has the first one's: names decide nothing.
        sh(f"ip -n {self.name['b']} link set eth1 down; ip -n {self.name['b']} link set eth1 name zzz;"
           f"ip -n {self.name['b']} link set zzz up; ip -n {self.name['b']} addr add fd77:1::2/64 dev zzz nodad || true")
        server = self.serve(prefix=self.on("b"))
        found = rows(self.pair("10.77.0.2", "--device", "eth1", *FAST, server=server).out)
        self.assertEqual([(r["status"], r["device_a"], r["device_b"]) for r in found], [("ok", "eth1", "zzz")])

    def test_rails(self):
        server = self.serve(prefix=self.on("b"))
        found = rows(self.pair("10.77.0.2", "--rails", "eth0,eth1", "--test", "send_lat,send_bw", "--size", "64K", *SHORT,
                               server=server).out)
        self.assertEqual([(r["test"], r["row_kind"], r["rail"], r["device_a"]) for r in found],
                         [(t, *k) for t in ("send_lat", "send_bw")
                          for k in (("flow", "0", "eth0"), ("flow", "1", "eth1"), ("total", "", ""))])
        flow0, flow1, total = (real(r["bw_gbps"]) for r in found[3:])
        # Medians of parts need not add up to the median of the whole; far off they cannot be.
        self.assertLess(total, (flow0 + flow1) * 1.5)
        self.assertGreater(total, max(flow0, flow1) * 0.5)
        self.assertEqual(found[5]["streams"], "2")

    def test_unknown_device(self):
        server = self.serve(prefix=self.on("b"))
        err = self.pair("10.77.0.2", "--device", "eth7", *FAST, server=server, status=3).err
        self.assertIn("eth7", err)
        self.assertIn("eth0", err)

    def failing(self, *arguments, status=3):
        """Runs on node a; must fail within 10 s. Its sentence."""
        begin = time.monotonic()
        err = self.run_program("pair", *arguments, prefix=self.on("a"), status=status).err
        self.assertLess(time.monotonic() - begin, 10)
        self.assertFalse(os.path.exists(self.folder + "/fabmark-results"), "a run without rows leaves no folder")
        return err

    def token(self):
        os.makedirs(self.folder + "/config/fabmark", mode=0o700, exist_ok=True)
        path = self.folder + "/config/fabmark/token"
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("0123456789abcdef0123456789abcdef\n")

    def test_closed_port(self):
        self.token()
        err = self.failing("10.77.0.2", "--port", "4711")
        self.assertIn("10.77.0.2", err)
        self.assertIn("4711", err)
        self.assertIn("fabmark serve", err)

    def test_unreachable_host(self):
        self.token()
        sh(f"ip -n {self.name['a']} route add blackhole 10.99.0.0/16; ip -n {self.name['b']} addr del 10.77.1.2/24 dev eth1")
        err = self.failing("10.77.1.2")     # in the subnet, but nobody answers
        self.assertRegex(err, "10.77.1.2.*18520")
        self.failing("10.99.0.1")           # no route

    def test_interrupted_while_connecting(self):
        self.token()
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            client = self.start("pair", "10.77.0.9", prefix=self.on("a"))   # in the subnet, but nobody
            time.sleep(0.7)
            subprocess.run(["pkill", f"-{number}", "-x", "-P", str(client.pid), "fabmark"], check=False)
            client.send_signal(number)
            _, err = client.communicate(timeout=5)
            self.assertEqual(client.returncode, status, err)

    def test_stall_watch_lets_a_slow_link_be(self):
        sh(f"tc -n {self.name['a']} qdisc add dev eth0 root tbf rate 10mbit burst 64kb latency 200ms")
        server = self.serve(prefix=self.on("b"))
        found = rows(self.pair("10.77.0.2", "--test", "send_bw", "--size", "64K", "-n", "150", "--repetitions", "1",
                               server=server).out)
        self.assertEqual([r["status"] for r in found], ["ok"])
        self.assertAlmostEqual(real(found[0]["bw_gbps"]), 0.00955, delta=0.0008)

    def test_skipped_rows_say_why_the_session_ended(self):
        server = self.serve(prefix=self.on("b"))
        client = self.start("pair", "10.77.0.2", "--port", server.port, "--transport", "tcp", "--test",
                            "write_lat,send_lat,send_bw", "--size", "8", "--csv", "rows.csv", "--quiet", "--duration", "3",
                            prefix=self.on("a"))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not os.path.exists(self.folder + "/rows.csv"):
            time.sleep(0.02)
        time.sleep(1)
        server.kill()
        _, err = client.communicate(timeout=30)
        self.assertEqual(client.returncode, 3, err)
        self.assertEqual([(r["test"], r["status"], r["reason_code"]) for r in rows(read(self.folder + "/rows.csv"))],
                         [("write_lat", "failed", "unsupported"), ("send_lat", "failed", "peer_lost"),
                          ("send_bw", "skipped", "peer_lost")])

    def test_unknown_name(self):
        self.token()
        self.assertIn("no-such-node.invalid", self.failing("no-such-node.invalid"))

    def test_firewall_that_drops(self):
        self.token()
        sh(f"tc -n {self.name['b']} qdisc add dev eth0 root pfifo limit 0 2>/dev/null || "
           f"ip -n {self.name['b']} route add blackhole 10.77.0.1/32")
        err = self.failing("10.77.0.2", "--connect-timeout", "3")
        self.assertIn("18520", err)

    def test_wrong_and_missing_token(self):
        server = self.serve(prefix=self.on("b"))
        self.env["FABMARK_TOKEN"] = "another token of good length"
        err = self.failing("10.77.0.2", "--port", server.port)
        self.assertIn("token", err)
        del self.env["FABMARK_TOKEN"]
        self.env["XDG_CONFIG_HOME"] = self.folder + "/nothing"
        err = self.failing("10.77.0.2", "--port", server.port)
        self.assertIn("FABMARK_TOKEN", err)
        self.env["XDG_CONFIG_HOME"] = self.folder + "/config"
        self.pair("10.77.0.2", *FAST, server=server)

    def test_usage(self):
        for arguments in (["--size", "1E"], ["--size", "0"], ["--streams", "0"], ["--depth", "99999999"], ["--no-such"],
                          ["a", "b"], ["a", "--local"], ["--threads", "2"], ["--test", "nonsense"], ["--transport", "x", "--local"]):
            err = self.failing(*arguments, status=2)
            self.assertTrue(err.startswith("fabmark: "), err)
            self.assertEqual(err.count("\n"), 1, err)

    def lost(self, cut):
        """Cuts something in the second of three points: exit 3 within 5 s, the first row intact."""
        server = self.serve(prefix=self.on("b"))
        client = self.start("pair", "10.77.0.2", "--port", server.port, "--test", "send_lat", "--size", "8,16,32", "--duration",
                            "1.5", "--csv", "rows.csv", "--quiet", prefix=self.on("a"))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if os.path.exists(self.folder + "/rows.csv") and read(self.folder + "/rows.csv").count("\n") >= 2:
                break
            time.sleep(0.02)
        time.sleep(0.8)
        cut(server)
        begin = time.monotonic()
        _, err = client.communicate(timeout=30)
        took = time.monotonic() - begin
        self.assertEqual(client.returncode, 3, err)
        self.assertLess(took, 5.5, err)
        found = rows(read(self.folder + "/rows.csv"))
        self.assertEqual([r["status"] for r in found], ["ok", "failed", "skipped"], err)
        self.assertEqual(found[1]["reason_code"], "peer_lost", err)
        return server, err

    def test_peer_killed(self):
        self.lost(lambda server: server.kill())

    def test_peer_stopped(self):
        server, err = self.lost(lambda server: server.send_signal(signal.SIGSTOP))
        self.assertIn("sign of life", err)
        server.send_signal(signal.SIGCONT)

    def test_link_cut(self):
        server, _ = self.lost(lambda server: sh(f"ip -n {self.name['b']} link set eth0 down"))
        sh(f"ip -n {self.name['b']} link set eth0 up")
        time.sleep(4)
        # The server noticed by itself and serves on.
        self.pair("10.77.0.2", *FAST, server=server)

    def test_data_link_cut_while_control_lives(self):
        server = self.serve(prefix=self.on("b"))
        client = self.start("pair", "10.77.0.2", "--port", server.port, "--device", "eth1", "--test", "send_lat", "--size",
                            "8,16", "--duration", "1.5", "--csv", "rows.csv", "--quiet", prefix=self.on("a"))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not os.path.exists(self.folder + "/rows.csv"):
            time.sleep(0.02)
        time.sleep(0.8)
        sh(f"ip -n {self.name['b']} link set eth1 down")
        begin = time.monotonic()
        _, err = client.communicate(timeout=30)
        self.assertEqual(client.returncode, 3, err)
        self.assertLess(time.monotonic() - begin, 20)
        found = rows(read(self.folder + "/rows.csv"))
        self.assertIn("failed", [r["status"] for r in found])
        self.assertIn("eth1", err)

    def test_garbage_does_not_disturb(self):
        server = self.serve(prefix=self.on("b"))
        client = self.start("pair", "10.77.0.2", "--port", server.port, "--csv", "-", "--test", "send_lat", "--size", "8",
                            "--duration", "1", "--out", "none", prefix=self.on("a"))
        time.sleep(0.6)
        garbage = ("import socket,os\n"
                   f"for i in range(20):\n"
                   f"    s = socket.create_connection(('10.77.0.2', {server.port})); s.sendall(os.urandom(100)); s.close()\n"
                   f"held = [socket.create_connection(('10.77.0.2', {server.port})) for i in range(20)]\n")
        subprocess.run([*self.on("a"), sys.executable, "-c", garbage], check=True, timeout=20)
        out, err = client.communicate(timeout=30)
        self.assertEqual(client.returncode, 0, err)
        self.assertEqual([r["status"] for r in rows(out)], ["ok"])

    def test_second_client_is_told(self):
        server = self.serve(prefix=self.on("b"))
        client = self.start("pair", "10.77.0.2", "--port", server.port, "--csv", "-", "--test", "send_lat", "--size", "8",
                            "--duration", "2", "--out", "none", prefix=self.on("a"))
        time.sleep(1)
        err = self.pair("10.77.0.2", *FAST, server=server, status=3).err
        self.assertIn("measuring with node-a", err)
        out, err = client.communicate(timeout=30)
        self.assertEqual(client.returncode, 0, err)


if __name__ == "__main__":
    main()
