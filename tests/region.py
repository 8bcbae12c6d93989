#!/usr/bin/env python3
"""region.py FILE NAME COMMAND...: what COMMAND prints stands in FILE between <!-- NAME --> and <!-- /NAME -->.

FABMARK_UPDATE=1 in the environment writes it there.
"""

import difflib
import os
import subprocess
import sys


def main():
    path, name, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    wanted = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip("\n")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, rest = text.split(begin)
    found, tail = rest.split(end)
    if os.environ.get("FABMARK_UPDATE") == "1":
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{head}{begin}\n{wanted}\n\n{end}{tail}")
        return 0
    difference = list(difflib.unified_diff(found.strip("\n").splitlines(), wanted.splitlines(), path, "found", lineterm=""))
    print("\n".join(difference))
    if difference:
        print(f"{path} is not what {command[0]} prints; FABMARK_UPDATE=1 writes it anew")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
