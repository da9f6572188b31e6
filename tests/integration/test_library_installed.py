"""libelection as `make install` leaves it: found by pkg-config, linked every way, used from C, C++ and Python."""
import os
import re
import subprocess

import pytest

from harness.agent import BUILD, SLOW, VARIANT
from harness.redis import Server
from harness.terminal import Terminal
from test_tour import ROOT

pytestmark = pytest.mark.skipif(VARIANT != "release", reason="what is installed has no sanitizer")

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
def redis(tmp_path):
    server = Server(tmp_path / "redis").start()
    yield server
    server.stop()


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
