#!/usr/bin/python3
"""Holds core/DESIGN.md against the code: every invariant's number is cited in src/, and every function that a row names exists, the
asserting ones in src/, the checking ones in tests/.

check_design.py ROOT prints what is wrong and exits 1. Finding no row is wrong too.
"""
import pathlib
import re
import sys

ROW = re.compile(r"^\| ([A-Z]\d+) \|(.*)\|$")
FUNCTION = re.compile(r"`([a-z]+_[a-z_]+)`")


def words_of(root, folder):
    files = [f for f in (root / folder).rglob("*") if f.suffix in (".c", ".h", ".def")]
    return {word for file in files for word in re.findall(r"\w+", file.read_text())}


def check(design, source, tests):
    rows, wrong = [], []
    for line in design.splitlines():
        match = ROW.match(line)
        if not match:
            continue
        number, cells = match.group(1), match.group(2).split(" | ")
        rows.append(number)
        if len(cells) != 4:
            wrong.append(f"{number}: {len(cells)} cells, expected invariant, why, asserted in, checked by")
            continue
        if number not in source | tests:
            wrong.append(f"{number}: cited nowhere in src/ or tests/")
        for cell, words, where in ((cells[2], source, "src/"), (cells[3], tests, "tests/")):
            for name in FUNCTION.findall(cell):
                if name not in words:
                    wrong.append(f"{number}: {where} has no {name}")
    if len(rows) < 20 or len(set(rows)) != len(rows):
        wrong.append(f"{len(rows)} rows, {len(set(rows))} numbers: the tables were not understood")
    return len(rows), wrong


def bites(design, source, tests):
    """The check fails on a number that nobody cites, on functions that don't exist, and on a page without rows."""
    planted = (
        design + "\n| Z99 | a | b | c | d |\n",
        design.replace("`lease_expiry`", "`lease_expiri`"),
        design.replace("`check_one_leader`", "`check_two_leaders`"),
        "",
    )
    return all(check(page, source, tests)[1] for page in planted)


def main():
    root = pathlib.Path(sys.argv[1])
    design = (root / "src/core/DESIGN.md").read_text()
    source, tests = words_of(root, "src"), words_of(root, "tests")
    count, wrong = check(design, source, tests)
    if not bites(design, source, tests):
        wrong.append("the check accepts a page with a planted fault")
    for line in wrong:
        print(line)
    if not wrong:
        print(f"{count} invariants are cited and checked where DESIGN.md says")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
