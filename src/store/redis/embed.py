#!/usr/bin/python3
"""Puts the Lua sources into a C table at build time: embed.py OUTPUT FILE.lua...

Each script follows the parts it needs, without comments and indents (some scripts travel with every call), in two editions: for servers
before 7.0 (expiry6.lua) and for later ones (expiry7.lua). The name that EVALSHA wants is the SHA-1 of that text.
"""
import hashlib
import pathlib
import sys


def squeeze(text):
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line.split(' -- ')[0]}\n" for line in lines if line and not line.startswith("--"))


def literal(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "\n        ".join(f'"{line}\\n"' for line in escaped.splitlines())


def assemble(names):
    """The texts of every script: word -> (before 7.0, from 7.0 on)."""
    files = {pathlib.Path(name).stem: squeeze(pathlib.Path(name).read_text()) for name in names}
    parts = {name: files.pop(name) for name in ("clock", "expiry6", "expiry7", "common", "history")}
    return {
        word: tuple(
            parts["clock"] + (parts[edition] + parts["common"] if "load(" in body else "")
            + (parts["history"] if "notice(" in body else "") + body
            for edition in ("expiry6", "expiry7"))
        for word, body in files.items()
    }


def main():
    output, *names = sys.argv[1:]
    rows = []
    for word, texts in assemble(names).items():
        editions = (f'{{STR_INIT("{hashlib.sha1(text.encode()).hexdigest()}"), STR_INIT(\n        {literal(text)})}}' for text in texts)
        rows.append(f'    [REDIS_SCRIPT_{word.upper()}] = {{"{word}", {{{", ".join(editions)}}}}},\n')
    pathlib.Path(output).write_text(
        '#include "store/redis/script.h"\n\nconst struct redis_script redis_scripts[REDIS_SCRIPT_COUNT] = {\n' + "".join(rows) + "};\n")


if __name__ == "__main__":
    main()
