#!/usr/bin/env python3
"""Man pages and completion say what --help says."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from fabmark import Folder, main  # noqa: E402

PAGES = os.environ["FABMARK_PAGES"]


def pages(*arguments):
    return subprocess.run([PAGES, *arguments], check=True, capture_output=True, text=True).stdout


class Pages(Folder):
    def test_every_option_has_its_place(self):
        bash = pages("bash")
        for command in ("pair", "serve", "devices", "translate"):
            options = set(re.findall(r"(--[a-z][a-z-]+)", self.run_program(command, "--help").out.split("\n\n", 2)[2]))
            man = pages("man", command).replace("\\-", "-")
            self.assertGreater(len(options), 1)
            for option in options:
                self.assertIn(option, man)
                self.assertIn(option, bash)

    def test_translate_says_what_it_does(self):
        help_text, man = self.run_program("translate", "--help").out, pages("man", "translate").replace("\\-", "-")
        for text in (help_text, man):
            self.assertIn("--test stream_bw --size 128K --streams 4", text)
            self.assertIn("the command is not understood", text)
            self.assertNotIn("verdict", text)
        self.assertTrue(man.startswith(".TH FABMARK-TRANSLATE 1 "))

    def test_man_pages_are_well_formed(self):
        if not shutil.which("groff"):
            self.skipTest("groff is not installed")
        for arguments in ((), ("pair",), ("serve",), ("devices",), ("translate",)):
            result = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=pages("man", *arguments), text=True,
                                    capture_output=True)
            self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_completion(self):
        with open(self.folder + "/completion", "w") as file:
            file.write(pages("bash"))

        def complete(*words):
            script = ('source ./completion; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fabmark; '
                      'printf "%s\\n" "${COMPREPLY[@]}"')
            return subprocess.run(["bash", "-c", script, "bash", *words], check=True, capture_output=True, text=True,
                                  cwd=self.folder).stdout.split()

        self.assertEqual(complete("fabmark", "de"), ["devices"])
        self.assertEqual(complete("fabmark", "pair", "--trans"), ["--transport"])
        self.assertIn("tcp", complete("fabmark", "pair", "--transport", ""))
        self.assertEqual(complete("fabmark", "pair", "--test", "send_b"), ["send_bw"])
        self.assertEqual(complete("fabmark", "serve", "--local"), [])
        self.assertEqual(complete("fabmark", "pair", "--rails", ""), ["one", "all", "each"])
        self.assertIn("hugepage", complete("fabmark", "pair", "--memory", ""))
        self.assertEqual(complete("fabmark", "pair", "--again", ""), ["last"])
        os.makedirs(self.folder + "/fabmark-results/20260101T000000Z-a-b-1234")
        os.makedirs(self.folder + "/elsewhere/20270101T000000Z-a-b-1234")
        self.assertEqual(complete("fabmark", "pair", "--again", "2"), ["20260101T000000Z-a-b-1234"])
        self.assertEqual(complete("fabmark", "pair", "--out", "elsewhere", "--again", "2"), ["20270101T000000Z-a-b-1234"])
        self.assertEqual(complete("fabmark", "pair", "--out", "else"), ["elsewhere"])
        self.assertEqual(complete("fabmark", "pair", "--csv", "compl"), ["completion"])


if __name__ == "__main__":
    main()
