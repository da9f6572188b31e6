#!/usr/bin/env bash
# build.sh DIRECTORY [meson options]: configures once (again when the options changed) and builds, or only the BUILD_TARGETS of
# that variable. Prints only what went wrong.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$1
shift
# One build at a time: `make test` may be typed while `make run` still builds.
exec 9<tools/build.sh
flock 9
log=$(mktemp)
trap 'rm -f "$log"' EXIT

options="CC=${CC:-cc} $*"
if [ "$(cat "$dir/.options" 2>/dev/null)" != "$options" ]; then
    rm -rf "$dir"
    meson setup "$dir" "$@" >"$log" 2>&1 || { cat "$log" >&2; rm -rf "$dir"; exit 1; }
    printf '%s' "$options" >"$dir/.options"
fi
# shellcheck disable=SC2086 # a list
ninja -C "$dir" ${BUILD_TARGETS:-} >"$log" 2>&1 || { grep -v '^\[' "$log" >&2 || true; exit 1; }
