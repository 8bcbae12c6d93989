#!/usr/bin/env python3
"""pair --local, from the command line to the rows: what an engineer would check by hand."""

import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import SHORT, Folder, main, read, real, rows  # noqa: E402


class Pair(Folder):
    def measure(self, *arguments, status=0):
        return rows(self.run_program("pair", "--local", "--csv", "-", *SHORT, *arguments, status=status).out)

    def test_latency_and_bandwidth(self):
        found = self.measure("--transport", "tcp", "--test", "send_lat,send_bw", "--size", "8,64K,1M")
        self.assertEqual([(r["test"], r["size_bytes"]) for r in found],
                         [(t, s) for t in ("send_lat", "send_bw") for s in ("8", "65536", "1048576")])
        for row in found:
            self.assertEqual((row["status"], row["reason_code"], row["row_kind"], row["rail"]), ("ok", "", "flow", "0"))
            self.assertEqual((row["direction"], row["load"], row["initiator"]), ("a_to_b", "one_way", "a"))
            self.assertGreater(int(row["operations"]), 0)
            self.assertGreater(int(row["repetitions"]), 0)
        for row in found[:3]:
            self.assertEqual((row["lat_definition"], row["completion"], row["bw_gbps"]), ("half_rtt", "replied", ""))
            order = [real(row[f"lat_{q}_us"]) for q in ("min", "p50", "max")]
            self.assertEqual(order, sorted(order))
            self.assertLess(0, order[0])
            self.assertEqual(int(row["samples"]), int(row["operations"]) * int(row["repetitions"]))
        for row in found[3:]:
            self.assertEqual((row["lat_definition"], row["completion"], row["lat_p50_us"]), ("", "delivered", ""))
            rate = real(row["bw_gbps"]) * 1e9 / 8 / int(row["size_bytes"])
            self.assertAlmostEqual(real(row["msg_rate_per_s"]) / rate, 1, delta=0.001)

    def test_verify(self):
        for extra in ([], ["--streams", "4", "--threads", "2", "--events"]):
            found = self.measure("--transport", "tcp", "--test", "all", "--size", "1,13,4K", "--verify", *extra)
            self.assertEqual([(r["status"], r["verified"]) for r in found], [("ok", "yes")] * 9)
        # Nothing moves over null, so there is nothing to compare, and that is no failure.
        found = self.measure("--transport", "null", "--test", "write_bw", "--size", "8", "--verify")
        self.assertEqual([(r["status"], r["verified"]) for r in found], [("ok", "unsupported")])

    def test_verify_is_told(self):
        def words(*arguments):
            return " ".join(self.run_program("pair", "--local", "--size", "8", "--out", "none", *arguments, *SHORT).out.split())
        self.assertIn("; payload verified", words("--transport", "tcp", "--test", "send_lat", "--verify"))
        self.assertNotIn("payload", words("--transport", "tcp", "--test", "send_lat"))
        text = words("--transport", "null", "--test", "write_bw", "--verify")
        self.assertIn("; write_bw over null: payload cannot be verified", text)
        self.assertNotIn("payload verified", text)

    def test_both_directions_of_latency_tests_alone(self):
        process = self.run_program("pair", "--local", "--transport", "tcp", "--test", "send_lat", "--size", "8", "-b", *SHORT)
        self.assertEqual(process.err.count("a latency test goes both ways by itself; measured one way"), 1)
        process = self.run_program("pair", "--local", "--transport", "tcp", "--test", "send_lat,send_bw", "--size", "8", "-b",
                                   *SHORT)
        self.assertNotIn("by itself", process.err)

    def test_a_cause_of_many_rows_is_said_once(self):
        process = self.run_program("pair", "--local", "--transport", "tcp", "--test", "write_bw,read_bw", "--size", "8,16,32",
                                   "--out", "none", status=3)
        text = process.out
        self.assertEqual(text.count("tcp has no write_bw here"), 1, text)
        self.assertEqual(text.count("tcp has no read_bw here"), 1, text)
        self.assertEqual(len([line for line in text.splitlines() if line.endswith(" failed ^")]), 4, text)
        self.assertEqual(len([line for line in text.splitlines() if line.endswith(" failed")]), 2, text)
        self.assertEqual(text.count("the reason above holds here too"), 1, text)

    def test_bidirectional(self):
        found = self.measure("--transport", "tcp", "--test", "send_lat,send_bw,stream_bw", "--size", "4K", "-b", "--verify",
                             "--repetitions", "1")
        self.assertEqual([(r["test"], r["direction"], r["load"]) for r in found],
                         [("send_lat", "a_to_b", "one_way")] + [(t, d, "bidirectional") for t in ("send_bw", "stream_bw")
                                                                for d in ("a_to_b", "b_to_a", "both")])
        self.assertEqual({(r["status"], r["verified"]) for r in found}, {("ok", "yes")})
        for point in (found[1:4], found[4:7]):
            self.assertEqual(len({r["point_id"] for r in point}), 1)
            rates = [real(r["bw_gbps"]) for r in point]
            self.assertGreater(min(rates), 0)
            # Of one repetition, so that the medians add up; both directions in the same window.
            self.assertAlmostEqual((rates[0] + rates[1]) / rates[2], 1, delta=1e-3)
            self.assertEqual(int(point[0]["operations"]) + int(point[1]["operations"]), int(point[2]["operations"]))
            self.assertIn("clock_error_us=", point[2]["effective"])
            self.assertIn("sockets_per_stream=2", point[2]["effective"])
        self.measure("--test", "send_bw", "--size", "64K", "-b", "--streams", "4", "--threads", "2", "--events", "--verify")
        found = self.measure("--transport", "null", "--test", "write_bw", "--size", "8", "-b")
        self.assertEqual([r["status"] for r in found], ["ok"] * 3)

    def test_bidirectional_failure(self):
        for script in ("fail@100", "stall@100"):
            found = self.measure("--transport", f"fault:tcp,{script}", "--test", "send_bw", "--size", "8", "-b",
                                 "--iterations", "200", status=3)
            self.assertEqual([(r["direction"], r["status"]) for r in found],
                             [(d, "failed") for d in ("a_to_b", "b_to_a", "both")])

    def test_null_times_the_harness(self):
        found = self.measure("--transport", "null", "--test", "send_lat,send_bw", "--size", "8")
        self.assertEqual([r["status"] for r in found], ["ok", "ok"])
        self.assertLess(real(found[0]["lat_p50_us"]), 50)

    def test_streams_and_threads(self):
        found = self.measure("--test", "send_bw,send_lat", "--size", "4K", "--streams", "4", "--threads", "2")
        self.assertEqual([(r["streams"], r["threads"], r["status"]) for r in found], [("4", "2", "ok")] * 2)
        bandwidth = found[1]
        low, high = real(bandwidth["bw_stream_min_gbps"]), real(bandwidth["bw_stream_max_gbps"])
        self.assertLessEqual(low, high)
        self.assertGreaterEqual(4 * high * 1.01, real(bandwidth["bw_gbps"]))

    def test_stream_bandwidth(self):
        found = self.measure("--test", "stream_bw", "--size", "128K")
        self.assertEqual([(r["status"], r["completion"]) for r in found], [("ok", "delivered")])

    def test_fixed_repetitions_and_iterations(self):
        found = self.measure("--test", "send_lat", "--size", "1", "-n", "100", "--repetitions", "7")
        self.assertEqual((found[0]["operations"], found[0]["repetitions"], found[0]["stop_reason"], found[0]["samples"]),
                         ("100", "7", "fixed", "700"))
        self.assertTrue(found[0]["lat_p99_us"])
        self.assertEqual(found[0]["lat_p999_us"], "", "700 samples support no p99.9")
        self.assertTrue(real(found[0]["lat_p50_low_us"]) <= real(found[0]["lat_p50_us"]) <= real(found[0]["lat_p50_high_us"]))

    def test_few_repetitions_give_no_interval(self):
        found = self.measure("--test", "send_bw", "--size", "4K", "-n", "100", "--repetitions", "5")
        self.assertEqual((found[0]["bw_low_gbps"], found[0]["bw_high_gbps"]), ("", ""))

    def test_effective_values(self):
        row = self.measure("--test", "send_bw", "--size", "64K", "--congestion", "reno", "--socket-buffer", "256K")[0]
        effective = dict(pair.split("=", 1) for pair in row["effective"].split(";"))
        self.assertEqual(effective["congestion"], "reno")
        self.assertGreaterEqual(int(effective["send_buffer"]), 256 * 1024)
        self.assertIn("mss", effective)
        self.assertEqual((row["transport"], row["memory_path"]), ("tcp", "host"))
        # Mostly 0, but a busy machine's loopback does retransmit.
        self.assertRegex(row["retransmit_count"], "^[0-9]+$")

    def test_huge_pages(self):
        free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
        reserved = "/proc/sys/vm/nr_hugepages"
        if not os.path.exists(free):
            self.skipTest("this kernel has no huge pages of 2 MiB")
        if int(read(free)) == 0:
            process = self.run_program("pair", "--local", "--test", "send_lat", "--memory", "hugepage", "--out", "none",
                                       *SHORT, status=3)
            found = re.search(r"this needs (\d+) huge pages? of 2 MiB, and (\d+) (?:is|are) free.*nr_hugepages=(\d+)", process.err)
            self.assertTrue(found, process.err)
            need, left, reserve = map(int, found.groups())
            # Both directions of both ends, which are this machine.
            self.assertEqual(need, 4)
            self.assertEqual(reserve - int(read(reserved)), need - left)
        if os.geteuid() != 0 or not os.access(reserved, os.W_OK):
            self.skipTest("reserving huge pages needs root")
        before = read(reserved)
        try:
            with open(reserved, "w") as file:
                file.write("16")
        except OSError:
            self.skipTest("huge pages cannot be reserved here")
        try:
            if int(read(free)) < 16:
                self.skipTest("the kernel has no memory left for huge pages")
            found = self.measure("--test", "send_lat,send_bw", "--size", "8,64K", "--depth", "8", "--memory", "hugepage")
            self.assertEqual([(r["status"], r["memory_a"], r["memory_path"]) for r in found], [("ok", "hugepage", "host")] * 4)
            self.assertEqual(int(read(free)), 16, "they were given back")
        finally:
            with open(reserved, "w") as file:
                file.write(before)

    def test_events(self):
        found = self.measure("--test", "send_lat,send_bw,stream_bw", "--size", "8,64K", "--events", "--streams", "2")
        self.assertEqual([r["status"] for r in found], ["ok"] * 6)
        self.assertTrue(all("events=yes" in r["effective"] for r in found))

    def test_time_budget_and_full(self):
        err = self.run_program("pair", "--local", "--full", "--time-budget", "5", status=2).err
        self.assertIn("72 points take at least 72 s", err)
        process = self.run_program("pair", "--local", "--csv", "-", "--out", "none", "--time-budget", "4")
        found = rows(process.out)
        self.assertEqual([r["status"] for r in found], ["ok"] * 3)
        self.assertRegex(process.err, "measuring 3 points .*, at most 4 s")
        # How long all the rest takes is up to the machine. Without a budget it is 3.5 s a point.
        self.assertLess(sum(real(r["duration_s"]) for r in found), 4)

    def test_a_budget_that_just_suffices(self):
        found = self.measure("--test", "send_lat", "--size", "8,16,64", "--time-budget", "3")
        self.assertEqual([r["status"] for r in found], ["ok"] * 3)
        err = self.run_program("pair", "--local", "--test", "send_lat", "--size", "8,16,64", "--time-budget", "2.9",
                               status=2).err
        self.assertIn("3 points take at least 3 s", err)

    def test_a_test_that_the_transport_lacks(self):
        found = self.measure("--transport", "tcp", "--test", "write_bw", "--size", "8", status=3)
        self.assertEqual([(r["status"], r["reason"]) for r in found],
                         [("failed", "tcp has no write_bw here: it has send_lat, send_bw, stream_bw")])

    def test_required_confidence(self):
        found = self.measure("--test", "send_lat", "-n", "3", "--repetitions", "5", "--require-confidence", status=4)
        self.assertEqual([(r["status"], r["reason_code"]) for r in found], [("inconclusive", "unsure")])
        self.assertTrue(found[0]["lat_p50_us"])
        self.assertIn("give it --repetitions 6 or more", found[0]["reason"], "a longer run would have as many")
        # What was asked for and could not be measured weighs more.
        found = self.measure("--test", "send_lat,tag_lat", "-n", "3", "--repetitions", "5", "--require-confidence",
                             "--transport", "tcp", status=3)
        self.assertEqual(sorted(r["status"] for r in found), ["failed", "inconclusive"])

    def test_memory_that_the_cpu_cannot_touch(self):
        for memory, path in (("guarded", "staged"), ("host=guarded", "host"), ("guarded=host", "staged")):
            process = self.run_program("pair", "--local", "--csv", "-", "--test", "send_lat,send_bw,stream_bw", "--size",
                                       "1,100K", "--memory", memory, *SHORT, program=os.environ["FABMARK_TESTING"])
            found = rows(process.out)
            ends = (memory.split("=") * 2)[:2]
            self.assertEqual([(r["status"], r["memory_a"], r["memory_b"], r["memory_path"]) for r in found],
                             [("ok", *ends, path)] * 6)
        err = self.run_program("pair", "--local", "--memory", "guarded", status=2).err
        self.assertIn("no memory kind 'guarded'", err, "the program itself has no such kind")

    def test_two_ends_take_different_cpus(self):
        allowed = os.sched_getaffinity(0)
        row = self.measure("--test", "send_lat")[0]
        self.assertTrue({int(row["cpu_a"]), int(row["cpu_b"])} <= allowed)
        if len(allowed) > 1:
            self.assertNotEqual(row["cpu_a"], row["cpu_b"])

    def test_chosen_cpus(self):
        cpu = sorted(os.sched_getaffinity(0))[-1]
        row = self.measure("--test", "send_lat", "--cpu", f"{cpu}={cpu}")[0]
        self.assertEqual((row["cpu_a"], row["cpu_b"], row["status"]), (str(cpu), str(cpu), "ok"))

    def test_json_and_raw(self):
        self.run_program("pair", "--local", "--test", "send_lat,send_bw", "--size", "8", "--json", "rows.json", "--raw",
                         "raw.csv", "--out", "none", *SHORT)
        with open(self.folder + "/rows.json") as file:
            found = json.load(file)
        self.assertEqual([r["test"] for r in found], ["send_lat", "send_bw"])
        self.assertIsInstance(found[0]["lat_p50_us"], float)
        self.assertIsInstance(found[0]["effective"], dict)
        self.assertIsNone(found[0]["bw_gbps"])
        with open(self.folder + "/raw.csv") as file:
            raw = rows(file.read())
        latencies = [r for r in raw if r["test"] == "send_lat"]
        self.assertEqual(len(latencies), found[0]["samples"])
        # The median of the raw latencies' repetition medians is the row's: the figure can be worked out again.
        last, turns = {}, {}
        for r in latencies:
            turns.setdefault(r["repetition"], []).append(int(r["at_ns"]) - last.get(r["repetition"], 0))
            last[r["repetition"]] = int(r["at_ns"])
        medians = sorted(sorted(t)[(len(t) - 1) // 2] for t in turns.values())
        median = (medians[(len(medians) - 1) // 2] + medians[len(medians) // 2]) / 2
        self.assertAlmostEqual(median / 2e3 / found[0]["lat_p50_us"], 1, delta=0.01)

    def test_results_folder(self):
        process = self.run_program("pair", "--local", "--test", "send_lat", *SHORT)
        folders = glob.glob(self.folder + "/fabmark-results/*")
        self.assertEqual(len(folders), 1)
        with open(folders[0] + "/results.csv") as file:
            found = rows(file.read())
        self.assertEqual(len(found), 1)
        self.assertEqual(found[0]["run_id"], os.path.basename(folders[0]))
        with open(folders[0] + "/run.json") as file:
            run = json.load(file)
        self.assertEqual(run["environment_id"], found[0]["environment_id"])
        self.assertIn(run["clock"]["source"], ("tsc", "cntvct", "clock_monotonic_raw"))
        self.assertGreater(run["harness_floor"]["latency_turn_ns"], 0)
        self.assertIn("results.csv", process.err)
        self.assertIn("send_lat", process.out)

    def test_table_fits_100_columns(self):
        out = self.run_program("pair", "--local", "--test", "send_lat,send_bw", "--streams", "2", *SHORT).out
        self.assertLessEqual(max(map(len, out.splitlines())), 100, out)

    def test_named_test_that_the_transport_lacks(self):
        found = self.measure("--transport", "tcp", "--test", "send_lat,read_bw", "--size", "8", status=3)
        self.assertEqual([(r["test"], r["status"], r["reason_code"]) for r in found],
                         [("read_bw", "failed", "unsupported"), ("send_lat", "ok", "")])

    def test_killed_in_the_middle_keeps_whole_rows(self):
        process = self.start("pair", "--local", "--transport", "null", "--test", "send_lat", "--size", "1:128:+1",
                             "--duration", "0.02", "--quiet")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            files = glob.glob(self.folder + "/fabmark-results/*/results.csv")
            if files and read(files[0]).count("\n") > 3:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        text = read(files[0])
        self.assertTrue(text.endswith("\n"))
        found = rows(text)
        self.assertGreaterEqual(len(found), 3)
        self.assertTrue(all(r["status"] == "ok" and None not in r.values() and r["environment_id"] for r in found))

    def test_interrupted_keeps_rows(self):
        process = self.start("pair", "--local", "--test", "send_lat", "--size", "8,16,32,64", "--duration", "2", "--quiet")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not glob.glob(self.folder + "/fabmark-results/*/results.csv"):
            time.sleep(0.02)
        time.sleep(1)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130, err)
        self.assertLess(time.monotonic() - begin, 5)
        self.assertIn("interrupted", err)
        found = rows(read(glob.glob(self.folder + "/fabmark-results/*/results.csv")[0]))
        self.assertEqual(found[-1]["reason_code"], "interrupted")

    def test_far_end_killed(self):
        process = self.start("pair", "--local", "--test", "send_lat", "--size", "8,16", "--duration", "3", "--quiet")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not glob.glob(self.folder + "/fabmark-results/*/results.csv"):
            time.sleep(0.02)
        time.sleep(0.7)
        child = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()[0]
        os.kill(int(child), signal.SIGKILL)
        begin = time.monotonic()
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 3, err)
        self.assertLess(time.monotonic() - begin, 5)
        found = rows(read(glob.glob(self.folder + "/fabmark-results/*/results.csv")[0]))
        self.assertEqual([(r["size_bytes"], r["status"], r["reason_code"]) for r in found],
                         [("8", "failed", "peer_lost"), ("16", "skipped", "peer_lost")])

    def test_unwritable_folder(self):
        with open(self.folder + "/file", "w"):
            pass
        begin = time.monotonic()
        err = self.run_program("pair", "--local", "--out", "file/results", status=3).err
        self.assertIn("file/results", err)
        self.assertLess(time.monotonic() - begin, 5, "nothing is measured when the results cannot be kept")

    def test_default_folder_that_cannot_be_written(self):
        with open(self.folder + "/fabmark-results", "w"):
            pass
        err = self.run_program("pair", "--local", "--test", "send_lat", *SHORT).err
        self.assertEqual(err.count("warning"), 1, err)


if __name__ == "__main__":
    main()
