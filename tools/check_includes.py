#!/usr/bin/python3
"""Holds every #include "room/..." in src/ against the declared directions between rooms (ARCHITECTURE.md).

check_includes.py [ROOT] prints each violation as file:line and exits 1 if there is one. It also exits 1 when it found nothing to check,
since a gate that looks at no file proves nothing.
"""
import pathlib
import re
import sys

# room -> the rooms it may include, besides itself. The longest matching path names the room of a file.
MAY_USE = {
    "base": [],
    "core": ["base"],
    "config": ["base"],
    "metrics": ["base"],
    "net": ["base"],
    "http": ["net", "base"],
    "kube": ["net", "base"],
    "store": ["core", "base"],
    "store/memory": ["store", "core", "base"],
    "store/embedded": ["store", "core", "net", "base"],
    "store/redis": ["store", "core", "net", "base"],
    "store/kubernetes": ["store", "kube", "core", "net", "base"],
    "api": ["store", "kube", "http", "net", "metrics", "core", "base"],
    "client": ["store/redis", "store", "net", "core", "base"],
    "elector": ["kube", "http", "net", "config", "base"],
    "agent": ["api", "store", "kube", "http", "net", "config", "metrics", "core", "base"],
}

# A store's own headers are seen by that store only.
PRIVATE = re.compile(r"^store/(memory|embedded|kubernetes)/")

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def room_of(path):
    parts = path.split("/")
    for n in (2, 1):
        name = "/".join(parts[:n])
        if len(parts) > n and name in MAY_USE:
            return name
    return None


def check(root):
    src = pathlib.Path(root) / "src"
    files = sorted([*src.rglob("*.c"), *src.rglob("*.h"), *src.rglob("*.def")])
    seen = 0
    wrong = []
    for file in files:
        name = file.relative_to(src).as_posix()
        room = room_of(name)
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            seen += 1
            target = match.group(1)
            other = room_of(target)
            if room is None:
                wrong.append(f"src/{name}:{number}: stands in no declared room")
            elif other is None:
                if "/" in target and not target.endswith(".pb-c.h"):
                    wrong.append(f'src/{name}:{number}: "{target}" is in no declared room')
            elif other != room and other not in MAY_USE[room]:
                wrong.append(f'src/{name}:{number}: room {room} may not use room {other} ("{target}")')
            elif PRIVATE.match(target) and other != room and room != "store":
                wrong.append(f'src/{name}:{number}: "{target}" is private to {other}')
    if seen == 0:
        wrong.append(f"{src}: no #include found, so nothing was checked")
    return seen, wrong


def main():
    seen, wrong = check(sys.argv[1] if len(sys.argv) > 1 else ".")
    for line in wrong:
        print(line)
    if not wrong:
        print(f"{seen} includes go the declared way")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
