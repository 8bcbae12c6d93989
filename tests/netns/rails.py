#!/usr/bin/env python3
"""Several rails between two nodes: all of them at once, each in turn, and those that do not pair."""

import glob
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import SHORT, Nodes, main, read, real, rows, sh  # noqa: E402

TESTS = ["--test", "send_lat,send_bw", "--size", "4K", *SHORT]


class ThreeRails(Nodes):
    links = 3

    def setUp(self):
        super().setUp()
        # Names decide nothing: the third link has another one on b.
        sh(f"ip -n {self.name['b']} link set eth2 down; ip -n {self.name['b']} link set eth2 name aaa;"
           f"ip -n {self.name['b']} link set aaa up; ip -n {self.name['b']} addr add fd77:2::2/64 dev aaa nodad || true")

    def pair(self, *arguments, status=0):
        server = self.serve("--once", "--port", "0", prefix=self.on("b"))
        process = self.run_program("pair", "10.77.0.2", "--port", server.port, "--csv", "-", *arguments, *TESTS,
                                   prefix=self.on("a"), status=status)
        return rows(process.out), process.err

    def test_all_at_once(self):
        found, err = self.pair("--rails", "all")
        self.assertEqual([(r["test"], r["row_kind"], r["rail"], r["device_a"], r["device_b"], r["status"]) for r in found],
                         [(t, *k, "ok") for t in ("send_lat", "send_bw")
                          for k in (("flow", "0", "eth0", "eth0"), ("flow", "1", "eth1", "eth1"),
                                    ("flow", "2", "eth2", "aaa"), ("total", "", "", ""))])
        self.assertEqual(len({r["point_id"] for r in found}), 2)
        self.assertNotIn("left out", err)

    def test_each_in_turn(self):
        found, err = self.pair("--rails", "each")
        self.assertEqual([(r["test"], r["row_kind"], r["rail"], r["device_a"], r["device_b"], r["status"]) for r in found],
                         [(t, "flow", *k, "ok") for t in ("send_lat", "send_bw")
                          for k in (("0", "eth0", "eth0"), ("1", "eth1", "eth1"), ("2", "eth2", "aaa"))])
        self.assertEqual([r["point_id"] for r in found], [str(i) for i in range(1, 7)])
        # Alone in its point, each has the CPUs to itself, as many as one rail would.
        self.assertEqual(len({(r["cpu_a"], r["cpu_b"]) for r in found}), 1)
        self.assertEqual({r["streams"] for r in found}, {"1"})
        run = json.loads(read(glob.glob(self.folder + "/fabmark-results/*/run.json")[0]))
        self.assertEqual([p["rail"] for p in run["points"]], [0, 1, 2, 0, 1, 2])
        self.assertTrue(run["rails_in_turn"])
        self.assertEqual(run["rails_left"]["count"], 0)
        for test, column, form in (("send_lat", "lat_p50_us", r"takes (\S+) to (\S+) us one way \(half a round trip\)"),
                                   ("send_bw", "bw_gbps", r"reaches (\S+) to (\S+) Gb/s")):
            said = re.search(f"{test} 4K over tcp {form} on 3 rails, slowest (\\w+)", err)
            self.assertTrue(said, err)
            figures = {real(r[column]): r["device_a"] for r in found if r["test"] == test}
            self.assertAlmostEqual(float(said[1]) / min(figures), 1, delta=0.01)
            self.assertAlmostEqual(float(said[2]) / max(figures), 1, delta=0.01)
            self.assertEqual(said[3], figures[max(figures) if test == "send_lat" else min(figures)])

    def test_again_on_all_rails(self):
        first = self.serve("--once", "--port", "0", prefix=self.on("b"))
        before = rows(self.run_program("pair", "10.77.0.2", "--port", first.port, "--csv", "-", "--rails", "all", *TESTS,
                                       prefix=self.on("a")).out)
        first.wait(timeout=30)
        self.serve("--once", "--port", first.port, prefix=self.on("b"))
        process = self.run_program("pair", "--again", "last", "--csv", "-", prefix=self.on("a"))
        columns = ("test", "row_kind", "device_a", "device_b", "cpu_a", "cpu_b", "environment_id", "status")
        self.assertEqual([[r[c] for c in columns] for r in rows(process.out)], [[r[c] for c in columns] for r in before])
        self.assertIn("--rails=eth0=eth0,eth1=eth1,eth2=aaa", process.err)
        # The set of all rails' CPUs says nothing of which rail and which end had which.
        self.assertNotIn("--cpu", process.err)

    def test_both_directions_of_rails_that_differ(self):
        # One direction of one rail is slow: each drive is sized by its own speed, so that all have a time in common.
        sh(f"tc -n {self.name['a']} qdisc add dev eth1 root tbf rate 200mbit burst 64kb latency 50ms")
        server = self.serve("--once", "--port", "0", prefix=self.on("b"))
        process = self.run_program("pair", "10.77.0.2", "--port", server.port, "--rails", "eth0,eth1", "--bidirectional",
                                   "--verify", "--test", "send_bw", "--size", "8K", "--csv", "-", "--duration", "0.6",
                                   prefix=self.on("a"))
        found = rows(process.out)
        self.assertEqual([(r["row_kind"], r["rail"], r["direction"], r["status"], r["verified"]) for r in found],
                         [(*k, d, "ok", "yes") for k in (("flow", "0"), ("flow", "1"), ("total", ""))
                          for d in ("a_to_b", "b_to_a", "both")])
        rates = {(r["rail"], r["direction"]): real(r["bw_gbps"]) for r in found}
        self.assertLess(rates["1", "a_to_b"], 0.25)
        self.assertGreater(rates["1", "b_to_a"], 2 * rates["1", "a_to_b"])
        self.assertGreater(rates["0", "a_to_b"], 2 * rates["1", "a_to_b"])

    def test_the_data_takes_the_rail_of_the_row(self):
        # Slowed down to what no other link is, the rail shows in its own row only.
        sh(f"tc -n {self.name['a']} qdisc add dev eth1 root tbf rate 50mbit burst 64kb latency 100ms")
        found, _ = self.pair("--rails", "each")
        rates = {r["device_a"]: real(r["bw_gbps"]) for r in found if r["test"] == "send_bw"}
        self.assertLess(rates["eth1"], 0.2)
        self.assertGreater(rates["eth0"], 2 * rates["eth1"])
        self.assertGreater(rates["eth2"], 2 * rates["eth1"])

    def test_list_in_turn(self):
        found, _ = self.pair("--rails", "each:eth2=aaa,eth0")
        self.assertEqual([(r["rail"], r["device_a"], r["device_b"]) for r in found],
                         [("0", "eth2", "aaa"), ("1", "eth0", "eth0")] * 2)

    def test_what_does_not_pair_is_named_once(self):
        sh(f"ip -n {self.name['a']} link set eth1 down")
        sh(f"ip -n {self.name['a']} link add only type veth peer name inner; ip -n {self.name['a']} link set inner up;"
           f"ip -n {self.name['a']} addr add 10.99.0.1/24 dev only; ip -n {self.name['a']} link set only up")
        for rails, kinds in (("all", ["flow", "flow", "total"]), ("each", ["flow", "flow"])):
            found, err = self.pair("--rails", rails)
            self.assertEqual([(r["row_kind"], r["status"]) for r in found], [(k, "ok") for k in kinds * 2])
            self.assertNotIn("eth1", {r["device_a"] for r in found})
            line = [text for text in err.splitlines() if text.startswith("left out of the rails: ")]
            self.assertEqual(len(line), 1, err)
            self.assertIn("eth1: down or without carrier", line[0])
            self.assertIn("only: ", line[0])

    def test_one_rail_only_is_one(self):
        sh(f"ip -n {self.name['a']} link set eth1 down; ip -n {self.name['a']} link set eth2 down")
        for rails in ("all", "each"):
            found, _ = self.pair("--rails", rails)
            self.assertEqual([(r["row_kind"], r["rail"], r["device_a"], r["status"]) for r in found],
                             [("flow", "0", "eth0", "ok")] * 2)

    def test_a_rail_that_does_not_carry_fails_its_own_rows(self):
        # Addressed, up and routed, but what arrives is dropped: known only when it is tried.
        sh(f"ip -n {self.name['b']} route add blackhole 10.77.1.1/32")
        found, err = self.pair("--rails", "each", status=3)
        self.assertEqual([(r["device_a"], r["status"]) for r in found],
                         [("eth0", "ok"), ("eth1", "failed"), ("eth2", "ok")] * 2, err)

    def test_devices_and_every_rail_contradict(self):
        server = self.serve(prefix=self.on("b"))
        err = self.run_program("pair", "10.77.0.2", "--port", server.port, "--rails", "all", "--device", "eth1",
                               prefix=self.on("a"), status=2).err
        self.assertIn("--device", err)


if __name__ == "__main__":
    main()
