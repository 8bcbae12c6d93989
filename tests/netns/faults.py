#!/usr/bin/env python3
"""Links between two nodes: cut while a run waits, link-local addresses, and rates that are known beforehand."""

import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import PATH, SHORT, Nodes, main, read, real, rows, sh  # noqa: E402
from faults import WITHIN, TESTING, Listener, await_true, stopped  # noqa: E402

FAST = ["--size", "8", "--test", "send_lat", *SHORT]
# Bytes of a full frame as tbf counts them, and of payload in it: Ethernet header 14; IPv4 20, TCP 20, time stamps 12.
# A veth link without segmentation offload sends no larger ones.
FRAME, PAYLOAD = 1500 + 14, 1500 - 20 - 20 - 12


class Links(Nodes):
    links = 1

    def setUp(self):
        super().setUp()
        self.env["FABMARK_TOKEN"] = "0123456789abcdef0123456789abcdef"

    def cut_while(self, cue):
        """The link goes down when the client has come to its cue; both sides notice by themselves."""
        server = self.serve(prefix=self.on("b"))
        log = Listener(server)
        self.env["FABMARK_CUE"] = cue
        client = self.start("pair", "10.77.0.2", "--port", server.port, *FAST, "--size", "8,16", "--csv", "rows.csv", "--out",
                            "none", "--quiet", prefix=self.on("a"), program=TESTING)
        del self.env["FABMARK_CUE"]
        self.assertTrue(await_true(lambda: stopped(client)) and client.poll() is None)
        sh(f"ip -n {self.name['b']} link set eth0 down")
        os.kill(client.pid, signal.SIGCONT)
        begin = time.monotonic()
        _, err = client.communicate(timeout=30)
        self.assertLess(time.monotonic() - begin, WITHIN)
        self.assertEqual(client.returncode, 3, err)
        self.assertTrue(err.startswith("fabmark: ") and err.count("\n") == 1, err)
        self.assertTrue(await_true(lambda: log.when("failed: ")), log.text)
        self.assertLess(log.when("failed: ") - begin, WITHIN)
        sh(f"ip -n {self.name['b']} link set eth0 up")
        # What they learnt of each other while the link was down is that nobody is there.
        sh(f"ip -n {self.name['a']} neigh flush dev eth0; ip -n {self.name['b']} neigh flush dev eth0")
        again = self.run_program("pair", "10.77.0.2", "--port", server.port, *FAST, "--csv", "-", "--out", "none",
                                 prefix=self.on("a"))
        self.assertEqual([r["status"] for r in rows(again.out)], ["ok"])
        return rows(read(self.folder + "/rows.csv")) if os.path.exists(self.folder + "/rows.csv") else []

    def test_link_cut_before_the_plan(self):
        self.assertEqual(self.cut_while(">plan"), [])

    def test_link_cut_between_connecting_and_measuring(self):
        found = self.cut_while(">point <connected")
        self.assertEqual([(r["status"], r["reason_code"]) for r in found], [("failed", "peer_lost"), ("skipped", "peer_lost")])

    def test_link_cut_between_points(self):
        found = self.cut_while(">quiet")
        self.assertEqual([r["status"] for r in found], ["ok", "failed"])

    def test_link_local_addresses(self):
        """Control and data between fe80 addresses, which mean nothing without their device."""
        address = {}
        for side in "ab":
            sh(f"ip netns exec {self.name[side]} sysctl -qw net.ipv6.conf.eth0.accept_dad=0;"
               f"ip -n {self.name[side]} link set eth0 down; ip -n {self.name[side]} link set eth0 up")
        def known(side):
            text = subprocess.run(["ip", "-n", self.name[side], "-o", "-6", "addr", "show", "dev", "eth0", "scope", "link"],
                                  capture_output=True, text=True, env=dict(os.environ, PATH=PATH)).stdout
            if "fe80" not in text or "tentative" in text:
                return False
            address[side] = text.split("inet6 ")[1].split("/")[0]
            return True
        self.assertTrue(await_true(lambda: known("a") and known("b"), 10), "no link-local addresses came")
        server = self.serve(prefix=self.on("b"))
        found = rows(self.run_program("pair", address["b"] + "%eth0", "--port", server.port, *FAST, "--test", "send_lat,send_bw",
                                      "--csv", "-", "--out", "none", prefix=self.on("a")).out)
        self.assertEqual([(r["status"], r["device_a"], r["device_b"]) for r in found], [("ok", "eth0", "eth0")] * 2)
        self.assertTrue(all("fe80" in r["effective"] for r in found), found[0]["effective"])


# A node that sends for so many seconds as fast as it can, and one that tells the rate in Gb/s: no program of ours. Each is
# bound to a CPU, and waits or asks again and again.
BARE = """
import os, socket, sys, time
os.sched_setaffinity(0, [int(sys.argv[1])])
flag = socket.MSG_DONTWAIT if sys.argv[2] == 'polling' else 0
def until_done(call, *arguments):
    while True:
        try:
            return call(*arguments)
        except BlockingIOError:
            pass
"""
BARE_SINK = BARE + """
listener = socket.create_server(('', 4700))
print('ready', flush=True)
data, room = listener.accept()[0], bytearray(1 << 20)
count, begin = until_done(data.recv_into, room, 0, flag), time.monotonic()
total = 0
while count:
    count = until_done(data.recv_into, room, 0, flag)
    total += count
print(total * 8e-9 / (time.monotonic() - begin))
"""
BARE_DRIVE = BARE + """
data, message = socket.create_connection(('10.77.0.2', 4700)), memoryview(bytes(1 << 16))
end = time.monotonic() + 1.5
while time.monotonic() < end:
    at = 0
    while at < len(message):
        at += until_done(data.send, message[at:], flag)
"""


class Rates(Nodes):
    """What a shaper lets through, less the headers, is what send_bw must say."""

    def bare(self, way, cpus):
        sink = subprocess.Popen([*self.on("b"), sys.executable, "-c", BARE_SINK, cpus[1], way], stdout=subprocess.PIPE,
                                text=True)
        self.processes.append(sink)
        sink.stdout.readline()
        subprocess.run([*self.on("a"), sys.executable, "-c", BARE_DRIVE, cpus[0], way], check=True, timeout=60)
        return float(sink.communicate(timeout=60)[0])

    def measured(self, server, gbps, *how):
        """Its row."""
        process = self.start("pair", "10.77.0.2", "--port", server.port, "--test", "send_bw", "--size", "64K", *how,
                             "--repetitions", "3", "-n", str(int(gbps * 1e9 / 8 / 65536)), "--csv", "-", "--out", "none",
                             "--quiet", prefix=self.on("a"))
        out, err = process.communicate(timeout=120)
        self.assertIn(process.returncode, (0, 3), err)
        return rows(out)[0]

    def in_turn(self, server, gbps, way):
        """Both fill the shaper or neither: where CPUs are few or busy, either takes them from the shaper's timer, so each has
        a few tries, in turn, the same way and on the same CPUs."""
        expected, bare, ours, reasons = gbps * PAYLOAD / FRAME, [], [], set()
        while len(ours) < 3 and not (ours and max(ours) >= 0.98 * expected):
            row = self.measured(server, gbps, *(["--events"] if way == "waiting" else []))
            # A path on which nothing moves for seconds is the machine's, too, where the bare one is held up.
            ours.append(real(row["bw_gbps"]) if row["status"] == "ok" else 0)
            reasons |= {row["reason"]} if row["status"] != "ok" else set()
            bare.append(self.bare(way, (row["cpu_a"], row["cpu_b"])))
        said = (f"{gbps} Gb/s lets {expected:.4g} of payload through; {way}, ours {', '.join(f'{v:.4g}' for v in ours)}; "
                f"bare {', '.join(f'{v:.4g}' for v in bare)}" + "".join(f"; {reason}" for reason in reasons))
        print(said)
        self.assertLess(max(ours), expected * 1.02, said)
        if max(ours) >= 0.98 * expected:
            return None
        busy = min(bare) < 0.98 * expected or os.getloadavg()[0] > os.cpu_count()
        self.assertTrue(busy or gbps > 1, said)
        return said

    def shaped(self, gbps):
        # 2 ms, which the timers of a busy machine need; and a queue with room for all that TCP has under way.
        burst = max(24 * 1024, int(gbps * 1e9 / 8 * 0.002))
        probe = subprocess.run(["tc", "-n", self.name["a"], "qdisc", "add", "dev", "eth0", "root", "tbf", "rate",
                                f"{int(gbps * 1000)}mbit", "burst", str(burst), "limit", "64mb"], capture_output=True, text=True,
                               env=dict(os.environ, PATH=PATH))
        if probe.returncode:
            self.skipTest("this kernel has no tbf: " + probe.stderr.strip())
        for side in "ab":
            subprocess.run([*self.on(side), "sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic"], check=False,
                           capture_output=True, env=dict(os.environ, PATH=PATH))
        server = self.serve(prefix=self.on("b"))
        slow = [said for said in (self.in_turn(server, gbps, way) for way in ("waiting", "polling")) if said]
        if slow:
            self.skipTest("this machine does not fill the link now: " + "; ".join(slow))

    def test_100_mbit(self):
        self.shaped(0.1)

    def test_1_gbit(self):
        self.shaped(1)

    def test_5_gbit(self):
        self.shaped(5)


if __name__ == "__main__":
    main()
