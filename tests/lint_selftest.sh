#!/usr/bin/env bash
# The gates bite: each is shown a tree with one planted fault and must fail on it.
set -euo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

fail() {
    echo "lint self-test: $1" >&2
    exit 1
}
includes() { /usr/bin/python3 tools/check_includes.py "$tmp" >"$tmp/out"; }

mkdir -p "$tmp/src/base" "$tmp/src/net" "$tmp/src/store/embedded" "$tmp/src/api"
echo '#include "base/str.h"' >"$tmp/src/net/good.c"
includes || fail "a clean tree was refused"

echo '#include "net/loop.h"' >"$tmp/src/base/bad.c"
includes && fail "base may include net, says the check"
grep -q 'src/base/bad.c:1: room base may not use room net' "$tmp/out" || fail "the violation is not named"
rm "$tmp/src/base/bad.c"

echo '#include "store/embedded/record.h"' >"$tmp/src/api/bad.c"
includes && fail "api may see a store's private header, says the check"
rm "$tmp/src/api/bad.c"

rm -r "$tmp/src/net"
includes && fail "a tree with nothing to check passes"

printf 'int  main( void ){return 0;}\n' >"$tmp/bad.c"
clang-format --style=file:.clang-format --dry-run -Werror "$tmp/bad.c" 2>/dev/null && fail "clang-format accepts anything"

printf 'int f(int *p) { int x; if (p) x = 1; return x; }\n' >"$tmp/bad.c"
printf '[{"directory": "%s", "file": "%s/bad.c", "arguments": ["cc", "-c", "bad.c"]}]\n' "$tmp" "$tmp" >"$tmp/compile_commands.json"
tools/tidy.sh "$tmp" "$tmp/bad.c" >"$tmp/out" && fail "the clang-tidy check accepts an uninitialised value"
grep -q 'bad.c:.*uninit\|bad.c:.*undefined\|bad.c:.*garbage' "$tmp/out" || fail "the clang-tidy check does not say what it found"
printf 'int f(int x) { return x + 1; }\n' >"$tmp/bad.c"
tools/tidy.sh "$tmp" "$tmp/bad.c" >/dev/null || fail "the clang-tidy check refuses a clean file"

printf 'void f(void) { char a[2]; a[2] = 0; (void)a; }\n' >"$tmp/bad.c"
cppcheck --quiet --error-exitcode=1 "$tmp/bad.c" 2>/dev/null && fail "cppcheck accepts a write out of bounds"

printf '.Dd November 24, 2026\n.Dt X 3\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n.Sh DESCRIPTION\n.Bl -tag\n.It a\nb\n' >"$tmp/x.3"
mandoc -T lint -W warning,stop "$tmp/x.3" >/dev/null && fail "mandoc accepts a list without an end"

echo "lint self-test: every planted fault was found"
