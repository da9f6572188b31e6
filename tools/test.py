#!/usr/bin/python3
"""Builds what is to be tested and runs every test; the last line is `N passed, N failed, N skipped`.

    tools/test.py                    everything: lint, release, ASan+UBSan and TSan builds, integration
    tools/test.py --only release     one build (release, asan, tsan), or lint
    tools/test.py -k PATTERN         only tests whose name contains PATTERN

Builds follow each other, then lint; the tests of a build run while the next one is built. C tests run under `meson test`; every cmocka
function counts as a test. Integration tests and chaos run under pytest against each build. Of a test that fails the whole output is
printed; of one that passes, nothing.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
CORES = max(2, os.cpu_count() or 2)
UNIT_JOBS = str(2 * CORES)  # some wait for servers
INTEGRATION_JOBS = str(3 * CORES)  # nearly all wait: for terms, for time-outs, for what must not happen

BUILDS = {
    "release": {"dir": "build", "cc": "cc", "options": ["-Dbuildtype=release", "-Ddebug=true"]},
    "asan": {
        "dir": "build-asan",
        "cc": "clang",
        "options": ["-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
    },
    "tsan": {
        "dir": "build-tsan",
        "cc": "clang",
        "options": ["-Dbuildtype=debugoptimized", "-Db_sanitize=thread", "-Db_lundef=false"],
    },
}

SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:abort_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:second_deadlock_stack=1:suppressions=" + str(ROOT / "tests/tsan.supp"),
}

# What is built and linted while tests run gives way to them.
BEHIND = ["nice", "-n", "10"]

OK = re.compile(r"^\[       OK \] ", re.M)
FAILED = re.compile(r"^\[  FAILED  \] (?!tests?:|\d+ test)(\S+)", re.M)  # once where it fails, once in the summary
SKIPPED = re.compile(r"^\[  SKIPPED \] (?!\d+ test)(\S+)", re.M)


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, passed, failed, skipped):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def say(text):
    print(text, flush=True)


def run(command, **options):
    return subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def build(name):
    spec = BUILDS[name]
    result = run([*BEHIND, "tools/build.sh", spec["dir"], *spec["options"]], env={**os.environ, "CC": spec["cc"]})
    if result.returncode != 0:
        say(f"{name}: does not build\n{result.stdout}")
    return result.returncode == 0


def count(output, good):
    """Of one program's output: passed, failed, skipped. A program that is no cmocka suite counts as one test."""
    passed, failed, skipped = len(OK.findall(output)), len(set(FAILED.findall(output))), len(set(SKIPPED.findall(output)))
    if passed + failed + skipped == 0:
        return (1, 0, 0) if good else (0, 1, 0)
    if not good and failed == 0:
        failed = 1  # it died on the way
    return passed, failed, skipped


def run_units(name, pattern):
    """Unit tests, conformance, simulation, short fuzzing of one build, by meson."""
    directory = ROOT / BUILDS[name]["dir"]
    log = directory / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    command = ["meson", "test", "-C", str(directory), "--no-rebuild", "--num-processes", UNIT_JOBS, "--no-suite", "lint", "--quiet",
               "--timeout-multiplier", "4"]  # a time-out is for what hangs, not for a busy machine
    names = []
    if pattern:
        listed = run(["meson", "test", "-C", str(directory), "--list", "--no-rebuild"]).stdout
        names = [line.split(" / ")[-1] for line in listed.splitlines() if pattern in line]
        if not names:
            return Tally()
    run([*command, *names], env={**os.environ, **SANITIZERS})
    tally = Tally()
    if not log.exists():
        say(f"{name}: meson test wrote no log")
        tally.add(0, 1, 0)
        return tally
    for line in log.read_text().splitlines():
        test = json.loads(line)
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        output = test.get("stdout", "") + test.get("stderr", "")
        passed, failed, skipped = count(output, good)
        tally.add(passed, failed, skipped)
        if failed:
            say(f"--- {name}: {test['name']}: {test['result']}\n{output}\n---")
    return tally


def run_pytest(name, pattern, what, *arguments, ports=20):
    """`ports`: see port_range() in tests/integration/harness/agent.py; what runs at the same time has different ones."""
    command = [PYTHON, "-m", "pytest", *arguments, "-q", "-p", "no:cacheprovider"]
    if pattern:
        command += ["-k", pattern]
    env = {**os.environ, **SANITIZERS, "EA_TEST_BUILD": str(ROOT / BUILDS[name]["dir"]), "EA_TEST_VARIANT": name, "EA_TEST_PORTS": str(ports),
           "PYTHONDONTWRITEBYTECODE": "1"}
    result = run(command, env=env)
    tally = Tally()
    last = result.stdout.strip().splitlines()[-1] if result.stdout.strip() else ""
    numbers = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", last)}
    tally.add(numbers.get("passed", 0), numbers.get("failed", 0) + numbers.get("error", 0), numbers.get("skipped", 0))
    if result.returncode == 5 and pattern:  # nothing has that name
        return tally
    if result.returncode != 0:
        if tally.failed == 0:
            tally.failed = 1
        say(f"--- {name}: {what}\n{result.stdout}\n---")
    return tally


def run_tests(name, pattern):
    """Chaos and the crowd mostly wait, and their judges allow for being kept waiting: they run beside everything else of a build."""
    with concurrent.futures.ThreadPoolExecutor(2) as beside:
        chaos = beside.submit(run_pytest, name, pattern, "chaos", "tests/chaos", "--ignore=tests/chaos/test_crowd.py")
        crowd = beside.submit(run_pytest, name, pattern, "crowd", "tests/chaos/test_crowd.py", ports=19)
        units = run_units(name, pattern)
        integration = run_pytest(name, pattern, "integration", "tests/integration", "tests/kube", "-n", INTEGRATION_JOBS)
        return units, integration, chaos.result(), crowd.result()


def lint():
    result = run([*BEHIND, "tools/lint.sh"], env={"TIDY_NODES": "40000", **os.environ})  # `make lint` looks deeper
    last = result.stdout.strip().splitlines()[-1] if result.stdout.strip() else ""
    match = re.match(r"lint: (\d+) passed, (\d+) failed", last)
    tally = Tally()
    tally.add(*((int(match[1]), int(match[2]), 0) if match else (0, 1, 0)))
    if result.returncode != 0:
        tally.failed = max(tally.failed, 1)
        say(result.stdout)
    return tally


def prepare(wanted, built, linted):
    """Builds one after the other, then lints: each core is busy with this while tests wait for what they wait for."""
    try:
        for name in BUILDS:
            if name in wanted:
                built[name].set_result(build(name))
        if "lint" in wanted:
            linted.set_result(lint())
    except BaseException as error:  # whoever waits for it must hear of it
        for future in (*built.values(), linted):
            if not future.done():
                future.set_exception(error)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*BUILDS, "lint"])
    parser.add_argument("-k", dest="pattern")
    options = parser.parse_args()
    wanted = options.only or ["lint", *BUILDS]
    # A shell's background job inherits an ignored SIGINT, and would hand it on to the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    total = Tally()
    began = time.monotonic()

    def report(name, tally, start):
        say(f"{name}: {tally} ({time.monotonic() - start:.0f} s)")
        total.add(tally.passed, tally.failed, tally.skipped)

    built = {name: concurrent.futures.Future() for name in BUILDS}
    linted = concurrent.futures.Future()
    threading.Thread(target=prepare, args=(wanted, built, linted), daemon=True).start()
    for name in BUILDS:
        if name in wanted:
            good = built[name].result()
            start = time.monotonic()
            tally = Tally()
            if not good:
                tally.add(0, 1, 0)
            else:
                for part in run_tests(name, options.pattern):
                    tally.add(part.passed, part.failed, part.skipped)
            report(name, tally, start)
    if "lint" in wanted:
        report("lint", linted.result(), began)
    if total.passed + total.failed == 0:
        say("no test ran")
        total.failed = 1
    say(f"in {time.monotonic() - began:.0f} s")
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
