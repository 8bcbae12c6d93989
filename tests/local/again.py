#!/usr/bin/env python3
"""--again: the same measurement as an earlier run, what may be changed about it, and runs that cannot be repeated."""

import glob
import json
import os
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import SHORT, Folder, main, read, real, rows  # noqa: E402

FIRST = ["--test", "lat,send_bw", "--size", "8,4K", "--streams", "2", "--labels", "k=v", *SHORT]


class Again(Folder):
    def runs(self):
        return sorted(glob.glob(self.folder + "/fabmark-results/*"), key=os.path.getmtime)

    def document(self, folder):
        return json.loads(read(folder + "/run.json"))

    def results(self, folder):
        return rows(read(folder + "/results.csv"))

    def first(self, *arguments):
        self.run_program("pair", "--local", *(arguments or FIRST))
        return self.runs()[-1]

    def again(self, *arguments, which="last"):
        process = self.run_program("pair", "--again", which, *arguments)
        return self.runs()[-1], process

    def refused(self, which, *arguments, status=3):
        err = self.run_program("pair", "--again", which, *arguments, status=status).err
        self.assertEqual(err.count("\n"), 1, err)
        return err

    def test_the_same_measurement(self):
        before = self.first()
        after, process = self.again()
        self.assertNotEqual(before, after)
        columns = ("transport", "test", "size_bytes", "streams", "threads", "device_a", "device_b", "cpu_a", "cpu_b",
                   "environment_id", "status")
        self.assertEqual([[r[c] for c in columns] for r in self.results(before)],
                         [[r[c] for c in columns] for r in self.results(after)])
        self.assertEqual({r["labels"] for r in self.results(after)}, {""}, "results options are not repeated")
        self.assertEqual({r["run_id"] for r in self.results(after)}, {os.path.basename(after)})
        self.assertEqual(self.document(after)["again"], os.path.basename(before))
        self.assertNotIn("again", self.document(before))
        self.assertIn("repeating " + os.path.basename(before) + ": fabmark pair --local", process.err)

    def test_the_comparison_can_be_worked_out_again(self):
        before = self.first()
        after, process = self.again()
        text = " ".join(process.out[process.out.index("against "):].split())
        self.assertIn("against " + os.path.basename(before), text)
        then, now = self.results(before), self.results(after)
        found = re.findall(r"(\w+) (\S+(?: B)?) is ([\d.]+) times the earlier median \(([^)]*)\)", text)
        self.assertEqual(len(found), len(now))
        for (test, size, ratio, words), old, new in zip(found, then, now):
            self.assertEqual(test, new["test"])
            median, low, high = (("bw_gbps", "bw_low_gbps", "bw_high_gbps") if test.endswith("_bw") else
                                 ("lat_p50_us", "lat_p50_low_us", "lat_p50_high_us"))
            self.assertAlmostEqual(float(ratio), real(new[median]) / real(old[median]), delta=0.002)
            if not (old[low] and new[low]):
                self.assertEqual(words, "an interval is missing")
            elif real(new[low]) > real(old[high]) or real(new[high]) < real(old[low]):
                self.assertEqual(words, "the intervals are apart")
            else:
                self.assertEqual(words, "the intervals overlap")

    def test_what_is_typed_wins(self):
        self.first()
        after, process = self.again("--size", "16", "--streams", "1", "--csv", "rows.csv")
        self.assertEqual({(r["size_bytes"], r["streams"]) for r in self.results(after)}, {("16", "1")})
        self.assertEqual(read(self.folder + "/rows.csv"), read(after + "/results.csv"))
        self.assertIn("send_lat 16 B was not measured then", " ".join(process.out.split()))
        # A repetition of the repetition has both; and is not bound to files of either.
        os.remove(self.folder + "/rows.csv")
        after, _ = self.again()
        self.assertEqual({(r["size_bytes"], r["streams"]) for r in self.results(after)}, {("16", "1")})
        self.assertFalse(os.path.exists(self.folder + "/rows.csv"))

    def test_another_name_wins_too(self):
        self.first(*FIRST)
        for name, streams in (("-q", "1"), ("--streams", "4")):
            after, _ = self.again("--test", "send_lat", "--size", "8", name, streams)
            self.assertEqual({r["streams"] for r in self.results(after)}, {streams})

    def test_full_gives_way_to_a_test(self):
        before = self.first(*FIRST)
        document = self.document(before)
        document["options"] = {"local": "true", "full": "true", "duration": "0.1"}
        with open(before + "/run.json", "w") as file:
            json.dump(document, file)
        after, _ = self.again("--test", "send_lat", "--size", "8")
        self.assertEqual([r["test"] for r in self.results(after)], ["send_lat"])

    def test_to_another_host(self):
        self.env["FABMARK_TOKEN"] = "a token of sixteen letters or more"
        self.first()
        server = self.serve("--address", "127.0.0.1", "--port", "0")
        after, process = self.again("127.0.0.1", "--port", server.port)
        self.assertNotIn("--local", process.err)
        self.assertEqual(self.document(after)["host"], "127.0.0.1")
        # From there on the host is repeated.
        _, process = self.again()
        self.assertIn("fabmark pair 127.0.0.1", process.err)
        self.assertNotIn("sixteen", "".join(read(path) for path in glob.glob(self.folder + "/fabmark-results/*/*")))

    def test_by_id_and_by_path(self):
        before = self.first()
        self.first("--test", "send_lat", "--size", "1", *SHORT)
        for which in (os.path.basename(before), "fabmark-results/" + os.path.basename(before), before,
                      before + "/run.json"):
            after, _ = self.again(which=which)
            self.assertEqual(len(self.results(after)), 4)
        shutil.move(self.folder + "/fabmark-results", self.folder + "/elsewhere")
        self.run_program("pair", "--again", os.path.basename(before), "--out", "elsewhere")

    def test_no_such_run(self):
        self.assertIn("there is no run", self.refused("last"))
        before = os.path.basename(self.first())
        err = self.refused(before[:-1] + "x" if before[-1] != "x" else before[:-1] + "y")
        self.assertIn("the nearest is " + before, err)
        self.assertIn("the newest are " + before, err)
        self.assertIn("no folder './nothing'", self.refused("./nothing"))
        err = self.refused("yesterday")
        self.assertNotIn("nearest", err)
        self.assertIn("the newest are " + before, err)

    def damage(self, text, status=3):
        with open(self.runs()[-1] + "/run.json", "w") as file:
            file.write(text)
        return self.refused("last", status=status)

    def test_runs_that_cannot_be_repeated(self):
        document = self.document(self.first())
        self.assertIn("damaged at line 1", self.damage("{"))
        self.assertIn("no description of a run", self.damage("{}"))
        self.assertIn("no description of a run", self.damage("[]"))
        self.assertIn("schema 99", self.damage(json.dumps(dict(document, schema=99))))
        self.assertIn("fabmark fabric", self.damage(json.dumps(dict(document, arguments=["fabric"]))))
        self.assertIn("does not say what was asked for", self.damage(json.dumps(dict(document, options=None))))
        self.assertIn("does not say what was asked for", self.damage(json.dumps(dict(document, options={"size": 8}))))
        err = self.damage(json.dumps(dict(document, options={"no-such": "8"})), status=2)
        self.assertIn("cannot repeat", err)
        self.assertIn("no-such", err)
        path = self.runs()[-1] + "/run.json"
        os.remove(path)
        self.assertIn("is missing", self.refused(os.path.basename(self.runs()[-1])))
        os.symlink("run.json", path)
        err = self.refused(os.path.basename(self.runs()[-1]))
        self.assertIn("symbolic links", err)
        self.assertNotIn("ended before", err)

    def test_without_earlier_rows(self):
        os.remove(self.first() + "/results.csv")
        err = self.run_program("pair", "--again", "last", status=3).err
        self.assertEqual(len(self.refused_lines(err)), 1, err)
        self.assertIn("results.csv", err)
        self.assertIn("without --again", err)

    def test_damaged_earlier_rows(self):
        path = self.first("--test", "send_lat", "--size", "8", *SHORT) + "/results.csv"
        whole = read(path)
        median = rows(whole)[0]["lat_p50_us"]
        for text in ("garbage\n", "a,b\n1,2\n", whole.replace(median, "4x", 1), whole.replace(",a_to_b,", ",,", 1)):
            self.assertNotEqual(text, whole)
            with open(path, "w") as file:
                file.write(text)
            err = self.run_program("pair", "--again", "last", status=3).err
            self.assertEqual(len(self.refused_lines(err)), 1, err)
            self.assertIn("the earlier rows", err)
            self.assertIn("damaged", err)
            self.assertIn("without --again", err)
        with open(path, "w") as file:
            file.write(whole)
        self.again()

    def test_a_run_that_was_killed(self):
        killed = self.start("pair", "--local", "--test", "send_lat", "--size", "8,16,32", "--duration", "5")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (self.runs() and read(self.runs()[0] + "/results.csv").count("\n") > 1):
            time.sleep(0.05)
        killed.kill()
        killed.communicate()
        before = self.runs()[0]
        self.assertIs(self.document(before)["finished"], False)
        after, process = self.again("--duration", "0.1")
        self.assertIn(f"repeating {os.path.basename(before)}, which was killed before its end", process.err)
        self.assertEqual([r["size_bytes"] for r in self.results(after)], ["8", "16", "32"])
        self.assertIs(self.document(after)["finished"], True)
        text = " ".join(process.out.split())
        self.assertIn("send_lat 8 B is", text)
        self.assertIn("send_lat 32 B was not measured then", text)

    def refused_lines(self, err):
        return [line for line in err.splitlines() if not line.startswith("repeating ")]

    def test_broken_rules_are_told(self):
        self.first()
        err = self.run_program("pair", "--again", "last", "--threads", "3", status=2).err
        self.assertEqual(len(self.refused_lines(err)), 1, err)
        self.assertIn("--threads", err)


if __name__ == "__main__":
    main()
