"""libelection as `make install` leaves it: found by pkg-config, linked every way, used from C, C++ and Python."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from harness.agent import BUILD, SLOW, wait_for
from harness.terminal import Terminal
from test_tour import ROOT

HEADER = ROOT / "include/election.h"


class Tree:
    """What was installed below a directory of the test's own."""

    def __init__(self, directory):
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", directory], check=True, capture_output=True)
        (self.pc,) = directory.rglob("election.pc")
        prefix = re.search(r"^prefix=(.*)$", self.pc.read_text(), re.M)[1]
        self.prefix = directory / prefix.lstrip("/")
        self.libraries = self.pc.parents[1]

    def flags(self, *options):
        """A staged tree is not where its .pc file says, which pkg-config is told as a packager tells it."""
        env = {**os.environ, "PKG_CONFIG_PATH": str(self.pc.parent)}
        return subprocess.run(["pkg-config", f"--define-variable=prefix={self.prefix}", *options, "election"], env=env, check=True,
                              capture_output=True, text=True).stdout.split()

    def build(self, compiler, source, program, *flags):
        subprocess.run([*compiler, "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wshadow", "-Werror", source, "-o", program, *flags], check=True)
        return program


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return Tree(tmp_path_factory.mktemp("installed"))


@pytest.fixture
def leads():
    """Runs a program that is elected, and ends it as its reader would."""
    made = []

    def run(*command, **env):
        terminal = Terminal(*command, **env)
        made.append(terminal)
        terminal.says(r"leading with token \d{16}")
        assert terminal.ctrl_c() == 0
        assert "leading no more\n" in terminal.output
        return terminal

    yield run
    for terminal in made:
        terminal.end()


def needs(program):
    """The shared libraries that it loads by itself."""
    told = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", told)


def test_a_program_is_linked_to_the_shared_library(tree, redis, leads, tmp_path):
    program = tree.build(["cc"], ROOT / "examples/c/minimal.c", tmp_path / "program", *tree.flags("--cflags", "--libs"))
    assert "libelection.so.0" in needs(program)
    leads(program, "a", redis.url, LD_LIBRARY_PATH=str(tree.libraries))


def test_a_program_takes_the_library_with_it(tree, redis, leads, tmp_path):
    """The second way of docs/library.md: libelection.a, and the other libraries as they come."""
    flags = [flag.replace("-lelection", "-l:libelection.a") for flag in tree.flags("--cflags", "--static", "--libs")]
    program = tree.build(["cc"], ROOT / "examples/c/minimal.c", tmp_path / "program", *flags)
    assert not [name for name in needs(program) if "election" in name]
    leads(program, "a", redis.url)


def test_a_program_is_linked_statically_altogether(tree, redis, leads, tmp_path):
    """The third: nothing is loaded at run time. The C library says that names of hosts want its own shared libraries, which is all it says."""
    program = tree.build(["cc", "-static"], ROOT / "examples/c/minimal.c", tmp_path / "program", *tree.flags("--cflags", "--static", "--libs"))
    assert needs(program) == []
    leads(program, "a", redis.url)


def test_the_document_says_how_to_link(tree):
    document = (ROOT / "docs/library.md").read_text()
    for command in ("cc minimal.c -o minimal $(pkg-config --cflags --libs election)",
                    "cc minimal.c -o minimal $(pkg-config --cflags --static --libs election | sed s/-lelection/-l:libelection.a/)",
                    "cc -static minimal.c -o minimal $(pkg-config --cflags --static --libs election)"):
        assert f"\n{command}\n" in document


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_cplusplus_example_runs(tree, redis, leads, tmp_path, compiler):
    program = tree.build([compiler, "-std=c++17", "-Wpedantic", "-Wconversion"], ROOT / "examples/c++/leader.cpp", tmp_path / "program",
                         *tree.flags("--cflags", "--libs"))
    env = {"LD_LIBRARY_PATH": str(tree.libraries)}
    leads(program, "a", redis.url, **env)
    wrong = subprocess.run([program, "a", "http://x"], capture_output=True, text=True, timeout=10 * SLOW, env={**os.environ, **env})
    assert wrong.returncode == 1 and "redis" in wrong.stderr


@pytest.fixture
def fenced_postgres(tree, tmp_path):
    source = ROOT / "examples/c/fenced_postgres.c"
    return tree.build(["cc", "-Wconversion"], source, tmp_path / "fenced", *tree.flags("--cflags", "--libs"),
                      *subprocess.run(["pkg-config", "--cflags", "--libs", "libpq"], check=True, capture_output=True, text=True).stdout.split())


def test_the_postgres_example_steps_down_when_there_is_no_database(tree, redis, fenced_postgres, tmp_path):
    terminal = Terminal(fenced_postgres, "a", f"host={tmp_path}", redis.url, LD_LIBRARY_PATH=str(tree.libraries))
    try:
        first = terminal.says(r".*No such file or directory")
        terminal.says(r".*No such file or directory", first.end())  # it stood again
        assert terminal.ctrl_c() == 0
    finally:
        terminal.end()


class Postgres:
    """A server that its test owns; it refuses to run as root."""

    def __init__(self, programs):
        self.programs = programs
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="election-postgres-"))
        self.user = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
        if self.user:
            shutil.chown(self.directory, **self.user)
        self.run("initdb", "-D", self.directory / "data", "-A", "trust", "-U", "test", "--no-sync")
        self.process = subprocess.Popen([programs / "postgres", "-D", self.directory / "data", "-c", "listen_addresses=", "-c", "fsync=off",
                                         "-c", f"unix_socket_directories={self.directory}"], stderr=subprocess.DEVNULL, cwd="/", **self.user)

    @property
    def connection(self):
        return f"host={self.directory} user=test dbname=postgres"

    def run(self, program, *arguments):
        return subprocess.run([self.programs / program, *arguments], check=True, capture_output=True, text=True, cwd="/", **self.user).stdout

    def sql(self, statement):
        return self.run("psql", self.connection, "-Atqc", statement).strip()

    def answers(self):
        return subprocess.run([self.programs / "pg_isready", "-q", "-h", self.directory]).returncode == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.directory)


# The tests need no PostgreSQL; where it is installed, they use it.
SERVERS = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))[-1:]


@pytest.mark.skipif(not SERVERS, reason="PostgreSQL is not installed")
def test_a_row_of_postgres_refuses_a_former_leader(tree, redis, fenced_postgres):
    database = Postgres(SERVERS[0].parent)
    nodes = []
    try:
        wait_for(database.answers, "the database")
        head = (ROOT / "examples/c/fenced_postgres.c").read_text().split("*/")[0]
        database.sql(" ".join(re.findall(r"^ \*     ((?:CREATE|INSERT) .*;)$", head, re.M)))
        nodes = [Terminal(fenced_postgres, name, database.connection, redis.url, LD_LIBRARY_PATH=str(tree.libraries)) for name in ("a", "b")]
        wait_for(lambda: any(" leads with token " in node.output for node in nodes), "a leader")
        leader = next(node for node in nodes if " leads with token " in node.output)
        token = int(leader.says(r"(?:a|b) leads with token (\d+)")[1])
        wait_for(lambda: database.sql("SELECT token FROM shard") == str(token), "its write")
        database.sql(f"UPDATE shard SET token = {token + 10**12}, value = 'later'")
        assert int(leader.says(r"token (\d+): refused, a later leader has written")[1]) == token
        assert database.sql("SELECT value FROM shard") == "later"
        assert all(node.ctrl_c() == 0 for node in nodes)
    finally:
        for node in nodes:
            node.end()
        database.stop()


def test_the_python_example_runs_and_is_short(tree, redis, leads):
    example = ROOT / "examples/python/elected.py"
    assert len([line for line in example.read_text().splitlines() if line.strip()]) <= 40
    env = {"LD_LIBRARY_PATH": str(tree.libraries)}
    leads(example, "a", redis.url, **env)
    wrong = subprocess.run([example, "a", "http://x"], capture_output=True, text=True, timeout=10 * SLOW, env={**os.environ, **env})
    assert wrong.returncode == 1 and "redis" in wrong.stderr


def test_the_python_example_has_the_fields_of_the_header(tmp_path):
    """In its order, at its places: whoever adds a field to the header is told here."""
    source = (ROOT / "examples/python/elected.py").read_text()
    fields = re.search(r"\nclass Config.*?\n\n\n", source, re.S)[0]
    space = {}
    exec("import ctypes as c\nSTART = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_void_p)\n" + fields, space)
    config = space["Config"]
    names = [name for name, _ in config._fields_]
    program = tmp_path / "program.c"
    program.write_text("#include <election.h>\n#include <stdio.h>\nint main(void)\n{\n" + "".join(
        f'    printf("%zu %zu\\n", offsetof(struct election_config, {name}), sizeof(((struct election_config *)0)->{name}));\n' for name in names) +
        '    printf("%zu\\n", sizeof(struct election_config));\n    return 0;\n}\n')
    subprocess.run(["cc", "-I", HEADER.parent, program, "-o", tmp_path / "program"], check=True)
    told = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == [*(f"{getattr(config, name).offset} {getattr(config, name).size}" for name in names), str(space["c"].sizeof(config))]
