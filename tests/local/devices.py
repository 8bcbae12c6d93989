#!/usr/bin/env python3
"""devices: the inventory as text and as JSON says the same."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import Folder, main  # noqa: E402


class Devices(Folder):
    def test_text_and_json_agree(self):
        text = self.run_program("devices").out
        found = json.loads(self.run_program("devices", "--json").out)
        self.assertEqual([t["name"] for t in found["transports"]][:3], ["verbs", "tcp", "null"])
        self.assertTrue(all(t["absent"] is None for t in found["transports"][1:3]))
        self.assertEqual([m["name"] for m in found["memory"]], ["host", "hugepage"], "the test's kind is no user's")
        self.assertEqual(set(found["cpus"]["usable"]), os.sched_getaffinity(0))
        names = {n["name"] for n in found["nics"] if ":" not in n["name"]}
        self.assertEqual(names, set(os.listdir("/sys/class/net")) if len(found["nics"]) < 64 else names)
        ports = {f"{p['device']}:{p['port']}" for p in found["rdma_ports"]}
        self.assertTrue(ports or found["rdma_missing"], "where there is no RDMA, it says why")
        self.assertLessEqual(max(len(line) for line in text.splitlines()), 100, text)
        for sentence in found["rdma_missing"]:
            self.assertIn(sentence, " ".join(text.split()))
        loopback = next(n for n in found["nics"] if n["name"] == "lo")
        self.assertTrue(any(a.startswith("127.0.0.1/") for a in loopback["addresses"]), loopback)
        for name in names | ports | {"verbs", "tcp", "null", "host"}:
            self.assertIn(name, text)

    def test_one_cpu(self):
        cpu = max(os.sched_getaffinity(0))
        found = json.loads(self.run_program("devices", "--json", prefix=["taskset", "-c", str(cpu)]).out)
        self.assertEqual(found["cpus"]["usable"], [cpu])


if __name__ == "__main__":
    main()
