#!/usr/bin/env bash
# tidy.sh BUILD FILE...: clang-tidy with BUILD's compile commands. Prints what it found and ends with 1 if there was anything.
#
# TIDY_NODES: how many states of a function the analyser looks at before it goes on to the next one; its own limit unless told.
# It takes nearly all the time: with 40000 a quarter.
#
# One file a process: version 14 mixes up its knowledge of va_list when it reads several in a row.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$1
shift
limit=()
if [ -n "${TIDY_NODES:-}" ]; then
    for word in -Xclang -analyzer-config -Xclang "max-nodes=$TIDY_NODES"; do
        limit+=("--extra-arg=$word")
    done
fi
out=$(printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 clang-tidy --quiet --config-file=.clang-tidy "${limit[@]}" -p "$build" 2>&1)
code=$?
grep -E 'warning:|error:' <<<"$out" | sort -u
# A finding makes clang-tidy, and so xargs, fail; so does a file that it could not read at all.
if [ $code -ne 0 ] && ! grep -qE 'warning:|error:' <<<"$out"; then
    tail -5 <<<"$out"
fi
exit $((code != 0))
