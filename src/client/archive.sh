#!/usr/bin/env bash
# archive.sh OUTPUT LIBUV ARCHIVE...: the static library. One object with everything in it, libuv too, of which only
# election_* can be seen, so that a program may have a libuv, a json_writer or a map of its own.
set -euo pipefail
output=$1
libuv=$2
shift 2
object=$output.o
ld -r -o "$object" --whole-archive "$@" --no-whole-archive "$libuv"
objcopy --localize-hidden --wildcard --keep-global-symbol='election_*' "$object"
rm -f "$output"
ar rcs "$output" "$object"
rm -f "$object"
