#!/usr/bin/env python3
"""Failures on cue: each ends in words, in time, with the rows before it intact and the points after it measured."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import SHORT, Folder, main, real, rows  # noqa: E402


class Fault(Folder):
    def break_it(self, script, *arguments, within, status=3, test="send_lat"):
        begin = time.monotonic()
        process = self.run_program("pair", "--local", "--transport", f"fault:tcp,{script}", "--test", test, "--size", "8",
                                   "--csv", "-", "--out", "none", "--quiet", *SHORT, *arguments, status=status)
        self.assertLess(time.monotonic() - begin, within, process.err)
        found = rows(process.out)
        self.assertTrue(all(r["transport"] == "fault" for r in found))
        return found, process.err

    def test_fail(self):
        found, err = self.break_it("fail@100", within=5)
        self.assertEqual([(r["status"], r["reason_code"]) for r in found], [("failed", "transfer")])
        self.assertIn("operation 100 failed on cue", err)

    def test_stall(self):
        for script in ("stall@100", "lose@100"):
            found, err = self.break_it(script, within=8)
            self.assertEqual([(r["status"], r["reason_code"]) for r in found], [("failed", "timeout")])
            self.assertIn("nothing moved on the data path", err)

    def test_delay_is_in_the_figure(self):
        found, _ = self.break_it("delay@0=2", within=20, status=0)
        self.assertGreaterEqual(real(found[0]["lat_min_us"]), 1000)

    def test_corruption_is_found_where_payload_is_verified(self):
        found, _ = self.break_it("corrupt@5", within=20, status=0)
        self.assertEqual(found[0]["verified"], "no")
        server = self.serve("--once", "--port", "0")
        process = self.run_program("pair", "127.0.0.1", "--port", server.port, "--transport", "fault:tcp,corrupt@5", "--test",
                                   "send_lat,send_bw", "--size", "8K", "--verify", "--csv", "-", "--out", "none", *SHORT,
                                   status=3)
        for row in rows(process.out):
            self.assertEqual([row[c] for c in ("status", "reason_code", "verified")], ["failed", "verify", "failed"])
            self.assertIn("message 5 of stream 0 did not arrive as it was sent: byte 0 of 8192", row["reason"])
            # What was measured before stays.
            self.assertGreater(real(row["lat_p50_us"] or row["bw_gbps"]), 0)
        # Nobody hears of arrivals then: memory is compared.
        for script in ("corrupt@10", "corrupt@200"):
            found, _ = self.break_it(script, "-b", "--verify", "--iterations", "100", within=20, test="send_bw")
            self.assertEqual({(r["status"], r["verified"]) for r in found}, {("failed", "failed")})
        self.assertIn("did not arrive as it was sent", process.err)
        self.assertIn("did not arrive as it was sent", server.communicate(timeout=20)[1])

    def test_set_up(self):
        found, err = self.break_it("open", within=5)
        self.assertEqual(found[0]["reason_code"], "connect")
        found, err = self.break_it("connect", within=15)
        self.assertEqual(found[0]["reason_code"], "connect")
        self.assertIn("not reached on cue", err)

    def test_points_after_a_failed_one_are_measured(self):
        # The cue counts the messages of a stream: small ones pass it while the warm-up lasts, large ones never get there.
        process = self.run_program("pair", "--local", "--transport", "fault:tcp,fail@6000", "--test", "send_bw", "--size",
                                   "8,4M", "--csv", "-", "--out", "none", *SHORT, status=3)
        self.assertEqual([(r["size_bytes"], r["status"]) for r in rows(process.out)], [("8", "failed"), ("4194304", "ok")])

    def test_closing_that_never_returns(self):
        found, _ = self.break_it("linger", "--size", "8,16", within=30, status=0)
        self.assertEqual([(r["size_bytes"], r["status"]) for r in found], [("8", "ok"), ("16", "ok")])
        self.assertTrue(all("left behind" in r["reason"] for r in found))

    def test_opening_that_never_returns(self):
        found, err = self.break_it("hang", within=40)
        self.assertEqual(found[0]["reason_code"], "timeout")
        self.assertIn("opening the device", err)

    def test_delay_is_written_in_either_order(self):
        for script in ("delay@0=2", "delay=2@0", "delay=2"):
            found, _ = self.break_it(script, "-n", "20", within=20, status=0)
            self.assertGreaterEqual(real(found[0]["lat_min_us"]), 1000, script)

    def test_what_changes_meanwhile(self):
        process = self.run_program("pair", "--local", "--transport", "fault:tcp,change", "--test", "send_lat,send_bw", "--size", "8",
                                   "--csv", "-", "--out", "none", *SHORT, status=4)
        for row in rows(process.out):
            self.assertEqual((row["status"], row["reason_code"]), ("inconclusive", "disturbed"))
            self.assertRegex(row["reason"], "while this was measured the link on .* went from '[0-9]+' to '[0-9]+'")
            # The figure stands.
            self.assertGreater(real(row["lat_p50_us"] or row["bw_gbps"]), 0)
        self.assertIn("2 of 2 rows are inconclusive", process.err)
        # It outweighs a wide interval, and a failure outweighs it.
        process = self.run_program("pair", "--local", "--transport", "fault:tcp,change", "--test", "send_lat", "--size", "8", "--csv",
                                   "-", "--out", "none", "--require-confidence", "--repetitions", "2", "-n", "50", status=4)
        self.assertEqual([r["reason_code"] for r in rows(process.out)], ["disturbed"])
        for way in rows(self.run_program("pair", "--local", "--transport", "fault:tcp,change", "--test", "send_bw", "--size", "8", "-b",
                                         "--csv", "-", "--out", "none", *SHORT, status=4).out):
            self.assertEqual(way["status"], "inconclusive")

    def test_a_shared_port_is_said(self):
        found, _ = self.break_it("share", within=20, status=0)
        self.assertEqual([(r["status"], r["reason_code"]) for r in found], [("ok", "")])
        self.assertRegex(found[0]["reason"], "^port shared with others: that of .* sent [0-9]+ MB while this was measured")

    def test_a_spoilt_address(self):
        found, err = self.break_it("address=0", within=15)
        self.assertEqual(found[0]["status"], "failed")
        found, err = self.break_it("address=100000", within=15, status=2)
        self.assertIn("has no byte 100000: its ", err)

    def test_nobody_awaits_messages(self):
        found, err = self.break_it("deaf", within=15, test="send_bw")
        self.assertEqual([(r["status"], r["reason_code"]) for r in found], [("failed", "timeout")])
        self.assertIn("nothing moved on the data path", err)

    def test_options_of_the_transport_inside(self):
        found, _ = self.break_it("delay=1@5,mss=1000", "-n", "20", within=20, status=0)
        self.assertEqual(found[0]["status"], "ok")
        self.assertIn("fault=delay over tcp", found[0]["effective"])
        _, err = self.break_it("open,depth-charge=1", within=15, status=2)
        self.assertIn("transport tcp has no option 'depth-charge'", err)
        _, err = self.break_it("open,mss=many", within=15, status=2)
        self.assertIn("tcp.mss 'many': not a count", err)

    def refused(self, *arguments):
        """Before anything starts: one sentence, exit 2, no row."""
        process = self.run_program("pair", "--local", *arguments, "--out", "none", "--csv", "-", status=2)
        self.assertEqual((process.out, process.err.count("\n")), ("", 1), process.err)
        return process.err

    def test_no_such_fault(self):
        for script in ("tcp,smash@3", "tcp,fail@", "tcp,fail@x", "tcp,fail@1@2", "tcp,fail=5", "tcp,delay=", "tcp,delay=1=2",
                       "tcp,delay@1=2@3", "tcp,open@3", "tcp,", ",fail@3", "tcp,fail@3,stall@4", "tcp,address@3", "tcp,deaf@1", "tcp,change=1",
                       "tcp,fail@3,", "tcp,,mss=1", "tcp,fail@3,=1", "tcp,fail@3,Mss=1", "tcp,fail@3,mss=1,,mss=2", "tcp,fail@" + "0" * 40 + "1"):
            self.assertIn("is no fault: write", self.refused("--transport", "fault:" + script), script)
            self.assertIn("is no fault: write", self.refused("--transport", "fault", "--fault", script), script)
        self.assertIn("cannot wrap itself", self.refused("--transport", "fault:fault,open"))
        for nothing in (["fault"], ["fault:"], ["fault", "--fault", ""]):
            self.assertIn("no script given", self.refused("--transport", *nothing))
        self.assertIn("nothing behind a colon", self.refused("--transport", "tcp:x"))

    def test_script_without_the_transport(self):
        for arguments in (["--fault", "tcp,open"], ["--transport", "tcp", "--fault", "tcp,open"],
                          ["--transport", "all", "--fault", "tcp,open"], ["--set", "fault.fault=tcp,open"]):
            self.assertIn("--fault needs --transport fault", self.refused(*arguments))
        # However it is said, it does break.
        for arguments in (["--fault", "tcp,open"], ["--set", "fault.fault=tcp,open"]):
            found = rows(self.run_program("pair", "--local", "--transport", "fault", *arguments, "--test", "send_lat", "--csv",
                                          "-", "--out", "none", *SHORT, status=3).out)
            self.assertEqual([r["reason_code"] for r in found], ["connect"])


if __name__ == "__main__":
    main()
