"""The manual pages against what they describe: every name of election.h, every program, every flag."""
import re
import shlex
import subprocess

import pytest

from harness.agent import BUILD
from test_tour import ROOT

MAN = ROOT / "docs/man"
HEADER = re.sub(r"/\*.*?\*/", " ", (ROOT / "include/election.h").read_text(), flags=re.S)
PROTOTYPE = re.compile(r"^(?:ELECTION_API|static inline) ([^;{=]*?)\b(election_\w+)\(([^;{]*?)\)(?: ELECTION_MUST_CHECK)?\s*[;{]", re.M)
FUNCTIONS = {m[2]: (m[1], m[3]) for m in PROTOTYPE.finditer(HEADER)}


def page(name):
    """The text of a page, of the page it points to, if it is an alias."""
    text = next(MAN.glob(f"{name}.[1-8]")).read_text()
    alias = re.fullmatch(r"\.so man(\d)/(\S+)\n", text)
    if alias:
        assert alias[2].endswith("." + alias[1])
        text = (MAN / alias[2]).read_text()
        assert not text.startswith(".so"), name
    return text


def shown(name):
    """The page as its reader sees it."""
    path = next(MAN.glob(f"{name}.[1-8]"))
    return subprocess.run(["mandoc", "-T", "utf8", "-O", "width=1000", path], capture_output=True, text=True, check=True).stdout


def plain(text):
    return re.sub(r"\s+", " ", text.replace("* ", "*")).strip()


def test_the_header_was_understood():
    assert len(FUNCTIONS) == len(re.findall(r"^ELECTION_API", HEADER, re.M)) + 1 >= 23, sorted(FUNCTIONS)


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_has_a_page_with_its_prototype(function):
    text = page(function)
    names = re.search(r"^\.Sh NAME\n(.*?)^\.Nd ", text, re.M | re.S)[1]
    assert re.search(rf"^\.Nm {function}( ,)?$", names, re.M)
    prototype = re.search(rf"^\.Ft (.*)\n\.Fo {function}\n((?:\.Fa .*\n)*)\.Fc$", text, re.M)
    result, arguments = FUNCTIONS[function]
    assert plain(" ".join(shlex.split(prototype[1]))) == plain(result)
    assert plain(", ".join(" ".join(shlex.split(line)[1:]) for line in prototype[2].splitlines())) == plain(arguments)


def test_every_constant_field_and_callback_of_the_header_is_in_a_page():
    pages = {path.name: page(path.stem) for path in MAN.glob("*.3")}
    everything = "\n".join(pages.values())
    constants = set(re.findall(r"\bELECTION_[A-Z_]+\b", HEADER)) - {"ELECTION_H", "ELECTION_API", "ELECTION_MUST_CHECK"}
    assert len(constants) > 40
    # What has a section of its own there, not only a word.
    assert {name for name in constants if not re.search(rf"^\.(It|Dv|Er|Bq Er)\b.*\b{name}\b|^\.It .*\b{name}\b", everything, re.M)} == set()
    structs = dict(re.findall(r"^struct (election_\w+) \{(.*?)^\};", HEADER, re.M | re.S))
    assert set(structs) == {"election_field", "election_change", "election_config", "election_node", "election_entry", "election_stats"}
    for name, body in structs.items():
        assert f"struct {name}" in everything
        text = page("election_config_init" if name in ("election_config", "election_change") else
                    "election_log_stderr" if name == "election_field" else "election_stats")
        for declaration in re.findall(r"[^;]+(?=;)", body):
            field = re.search(r"\(\*(\w+)\)|(\w+)(?:\[\w+\])?$", plain(declaration))
            field = field[1] or field[2]
            assert re.search(rf"^\.(It )?Va .*\b{field}\b", text, re.M), f"{name}.{field}"


def test_every_error_is_explained_in_the_first_page_and_no_page_names_another():
    errors = re.findall(r"(ELECTION_\w+) = \d+", re.search(r"enum election_error \{(.*?)\}", HEADER, re.S)[1])
    assert len(errors) >= 11
    assert re.findall(r"^\.It Bq Er (\w+)$", page("election"), re.M) == errors
    named = {error for path in MAN.glob("*.3") for error in re.findall(r"\bEr (ELECTION_\w+)", path.read_text())}
    assert named == set(errors)


def test_the_examples_of_the_pages_compile(tmp_path):
    sources = []
    for path in sorted(MAN.glob("*.3")):
        for number, code in enumerate(re.findall(r"^\.Bd -literal\n(#include.*?)^\.Ed$", path.read_text(), re.M | re.S)):
            source = tmp_path / f"{path.stem}-{number}.c"
            source.write_text(code.replace("\\e", "\\"))
            sources.append(source)
    assert len(sources) >= 10
    subprocess.run(["cc", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-fsyntax-only", "-I", ROOT / "include", *sources], check=True)


def test_the_first_page_shows_the_minimal_example():
    code = (ROOT / "examples/c/minimal.c").read_text()
    assert code[code.index("#include"):].replace("\\", "\\e") in page("election")


@pytest.mark.parametrize("program", ["election-agent", "elector"])
def test_a_program_has_a_page_and_its_flags_are_explained(program):
    told = subprocess.run([BUILD / program, "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"^ *--([a-z][a-z._-]*)", told, re.M))
    assert len(flags) > 10
    text = shown("elector") if program == "elector" else shown("election-agent") + shown("election-agent.yaml")
    text = re.sub(r".\x08", "", text)
    assert {flag for flag in flags if not re.search(rf"^ +(--)?{re.escape(flag)}\b", text, re.M)} == set()


def test_pages_refer_to_pages_that_exist():
    outside = {"curl(1)", "systemd(1)", "fork(2)", "poll(2)", "epoll(7)"}
    for path in MAN.glob("*.[1-8]"):
        text = path.read_text()
        named = {f"{a}({b})" for a, b in re.findall(r"\bXr (\S+) (\d)", text)} | {f"{a}({b})" for a, b in re.findall(r"^\.BR (\S+) \((\d)\)", text, re.M)}
        assert {name for name in named - outside if not (MAN / re.sub(r"\((\d)\)", r".\1", name)).exists()} == set(), path.name


def test_every_page_is_installed(tmp_path):
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", tmp_path], check=True, capture_output=True)
    installed = {path.name.removesuffix(".gz"): path.parent.name for path in tmp_path.rglob("man/man?/*")}
    assert installed == {path.name: "man" + path.suffix[1:] for path in MAN.iterdir()}
